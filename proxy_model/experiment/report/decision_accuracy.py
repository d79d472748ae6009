"""How often the better recipe at 150M parameters is also the better one at 1B, by benchmark: measured by others.

A proxy's verdict is about the proxy.  These figures are the best public answer to what it says of a larger model.
"""

from __future__ import annotations

SOURCE = (
    "Signal and Noise (Heineman et al. 2025, arXiv 2508.13144), decision accuracy 150M → 1B on DataDecide's recipes"
)
OVERALL = (
    "ranking two recipes by one run at 150M parameters is right at 1B in about 80 % of pairs "
    "(DataDecide, Magnusson et al. 2025, arXiv 2504.11393: 25 recipes, 14 sizes, 3 seeds)"
)
COIN = 0.55  # at or below it a benchmark says nothing of the larger model

# benchmark, as a suite may spell it → share of right decisions
DECISION_ACCURACY = {
    "arc_easy": 0.93, "mmlu": 0.89, "arc_challenge": 0.83, "humaneval": 0.80, "mbpp": 0.75, "hellaswag": 0.74,
    "piqa": 0.74, "commonsense_qa": 0.69, "csqa": 0.69, "openbookqa": 0.65, "socialiqa": 0.55, "social_iqa": 0.55,
    "winogrande": 0.50, "boolq": 0.48,
}  # fmt: skip


def known(benchmark: str) -> float | None:
    """The figure for a benchmark, whatever suffix its name has (`mmlu_stem`, `arc_easy:rc`)."""
    name = benchmark.lower().replace("-", "_")
    if name in DECISION_ACCURACY:
        return DECISION_ACCURACY[name]
    return next((share for key, share in DECISION_ACCURACY.items() if name.startswith((f"{key}_", f"{key}:"))), None)
