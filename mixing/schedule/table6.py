"""The long-context stages of MiniMax-01 (arXiv 2501.08313, Table 6 and §4.2).

| rows of | RoPE base | tokens | short / medium / long |
| 128K | 5M | 300B | 30 / 70 / 0 % |
| 512K | 10M | 32B | 35 / 35 / 30 % |
| 1M | 10M | 26B | 30 / 30 / 40 % |

Short < 32K ≤ medium ≤ 128K < long, in tokens; 10 % of long-context questions and answers in the last 20 % of each
stage; source weights interpolated linearly across each transition.  The paper gives no window for that: ours is
the first tenth of a stage.
"""

from __future__ import annotations

from collections.abc import Mapping

from mixing.schedule.stages import Stage, Tail

K = 1024
ROWS = (
    ("128K", 128 * K, 5e6, 300 * 10**9, {"short": 0.30, "medium": 0.70, "long": 0.0}),
    ("512K", 512 * K, 1e7, 32 * 10**9, {"short": 0.35, "medium": 0.35, "long": 0.30}),
    ("1M", 1024 * K, 1e7, 26 * 10**9, {"short": 0.30, "medium": 0.30, "long": 0.40}),
)
QA_SHARE, QA_FRACTION = 0.1, 0.2
TRANSITION = 0.1  # of a stage's tokens


def long_context(
    scale: float = 1.0,
    weights: Mapping[str, float] | None = None,
    qa: str | None = None,
    *,
    follows: bool = True,
    transition: float = TRANSITION,
) -> list[Stage]:
    """The three stages, their tokens times `scale`.

    weights: of sources, for all three (None: as there are tokens); qa: the queue of long questions and answers
    (None: no tail); follows: another stage comes before the first, so that it too has a transition.
    """
    made = []
    for number, (name, length, base, tokens, lengths) in enumerate(ROWS):
        count = max(round(tokens * scale), 1)
        turn = round(transition * count) if follows or number else 0
        tail = None if qa is None else Tail(qa, QA_SHARE, QA_FRACTION)
        made.append(Stage(name, count, length, weights, None, turn, lengths, tail, base))
    return made
