"""The verdict on a finished experiment, or on a planned look at an unfinished one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from curation.pipeline.errors import UsageError
from proxy_model.experiment.statistics.candidates import Candidate, adjust
from proxy_model.experiment.statistics.components import Components, Moments, components, moments
from proxy_model.experiment.statistics.crossed import FEW, Crossed, crossed
from proxy_model.experiment.statistics.design import BenchmarkLine, Design, Label, Verdict
from proxy_model.experiment.statistics.per_benchmark import per_benchmark
from proxy_model.experiment.statistics.power import Sampling, realised
from proxy_model.experiment.statistics.registry_prior import Prior, Registry
from proxy_model.experiment.statistics.robustness import lines
from proxy_model.experiment.statistics.sequential import conditional_power, e_value

if TYPE_CHECKING:
    from proxy_model.experiment.scores import ScoreMatrix

POOL = 3  # baseline runs from which one candidate run can be compared
RATIO = 0.05  # level of the F test of equal run variances under which a warning is printed


def compare(matrix: ScoreMatrix, design: Design, registry: Registry | None = None) -> Verdict:
    """matrix: two arms, baseline first.  Raises UsageError where no test exists: one run per arm without a registry, an
    unscheduled look, a benchmark of one unit, more than two arms (see `compare_candidates`)."""
    if len(matrix.arms) != 2:
        raise UsageError(f"compare takes two arms, there are {len(matrix.arms)}", "use compare_candidates for several")
    layout = matrix.layout()
    prior = None if registry is None or design.key is None else registry.prior(design.key)
    runs = (layout.runs[0], layout.runs[1])
    _refuse_single_runs(runs, design, prior)
    look, level, final = _look(design, runs, prior)
    y = matrix.y * matrix.sign
    m = moments(y, layout)
    result = crossed(m, prior, design.items)
    if not np.isfinite(result.variance) or float(result.variance) <= 0:
        raise UsageError(
            "the runs of each arm have the same suite mean: there is no variance to test against",
            "if the seeds do differ, take a continuous metric or more items",
        )
    if look is not None:  # the boundaries hold for df = ν
        result = replace(result, df=np.asarray(result.run_df))
    evidence = None if design.e_effect is None else _evidence(result, runs, design.e_effect)
    claims = _claims(result, design, level) if evidence is None else _evident(evidence, design, level)
    seed_sd = float(np.sqrt(result.run_term / layout.contrast))
    mde = realised(result, level, design.power)
    low, high = (float(x) for x in result.interval())
    below, above = (float(x) for x in result.interval(1 - 2 * level))
    return Verdict(
        label=claims[0] if claims else "inconclusive",
        estimate=float(result.estimate),
        ci=(low, high),
        p=_p(result, design),
        df=float(result.df),
        level=level,
        bounds=(below, above),
        claims=claims,
        components=_components(m, seed_sd),
        sigma_seed=seed_sd,
        mde_achieved=mde,
        mde_in_sigma=mde / seed_sd if seed_sd > 0 else float("inf"),
        runs=runs,
        units=len(matrix.weight),
        per_benchmark=_benchmarks(matrix, m),
        robustness=lines(y, m, prior, design.items),
        assumptions=_assumptions(design, runs, prior),
        warnings=_warnings(m, design, runs, claims, registry, prior, look),
        look=look,
        final=final,
        conditional_power=_conditional(result, design, look),
        e_value=None if evidence is None else evidence[0],
    )


def compare_candidates(
    matrix: ScoreMatrix, design: Design, registry: Registry | None = None
) -> tuple[dict[str, Verdict], tuple[Candidate, ...]]:
    """Every candidate against the baseline at alpha/J, and the table of their p with Holm's and the false-discovery
    adjustment.  A label `superior` holds over all candidates together (Bonferroni); Holm's p may show more."""
    names = matrix.arms[1:]
    each = replace(design, alpha=design.alpha / len(names))
    verdicts = {name: compare(matrix.only(matrix.arms[0], name), each, registry) for name in names}
    table = adjust(names, [v.estimate for v in verdicts.values()], [v.p for v in verdicts.values()])
    return verdicts, table


def _refuse_single_runs(runs: tuple[int, int], design: Design, prior: Prior | None) -> None:
    if design.e_effect is not None and (min(runs) < 2 or prior is not None):
        raise UsageError("the e-value needs two runs per arm and takes no noise registry")
    if min(runs) > 1 or prior is not None or (design.baseline_pool and runs[0] >= POOL):
        return
    raise UsageError(
        f"{runs[0]} baseline and {runs[1]} candidate runs: one run shows no variance between runs, so no verdict",
        f"train a second run per arm; or bring a noise registry of the same model, tokens, suite and metric; or plan "
        f"(baseline_pool) one candidate run against {POOL} or more baseline runs",
    )


def _look(design: Design, runs: tuple[int, int], prior: Prior | None) -> tuple[int | None, float, bool]:
    if design.bounds is None:
        return None, design.side, True
    if abs(design.bounds.prior_df - (0.0 if prior is None else prior.df)) > 1e-9:
        raise UsageError("the looks were planned with another noise registry", "plan the looks again before any run")
    look = design.bounds.look(runs)
    return look, design.bounds.levels[look], look == len(design.bounds.looks) - 1


def _claims(result: Crossed, design: Design, level: float) -> tuple[Label, ...]:
    """Strongest first.  Superiority implies non-inferiority, so testing both spends no extra alpha."""
    held: list[Label] = []
    if result.p_greater() <= level:
        held.append("superior")
    if design.margin is not None:
        if result.p_equivalent(design.margin) <= level:
            held.append("equivalent")
        if result.p_greater(-design.margin) <= level:
            held.append("non_inferior")
    if result.p_less() <= _against(design, level):
        held.append("inferior")
    return tuple(held)


def _evidence(result: Crossed, runs: tuple[int, int], effect: float) -> tuple[float, float]:
    """e-values for superior and inferior.  V ≥ t₁ makes the t, and so the e-value, no larger than on run means."""
    t = np.asarray(result.estimate / result.error)
    return float(e_value(t, runs, effect)), float(e_value(-t, runs, effect))


def _against(design: Design, level: float) -> float:
    """Level of `inferior`, the direction that a one-sided design does not ask for: half, as a two-sided test and the
    interval beside the verdict would have it."""
    return level if design.two_sided else level / 2


def _evident(evidence: tuple[float, float], design: Design, level: float) -> tuple[Label, ...]:
    if evidence[0] >= 1 / level:
        return ("superior",)
    return ("inferior",) if evidence[1] >= 1 / _against(design, level) else ()


def _conditional(result: Crossed, design: Design, look: int | None) -> float | None:
    if look is None or design.bounds is None or design.mde is None:
        return None
    plan = design.bounds
    last = stats.t.isf(plan.levels[-1], sum(plan.looks[-1]) - 2 + plan.prior_df)
    return conditional_power(float(result.estimate), float(result.error), plan.fractions[look], design.mde, float(last))


def _p(result: Crossed, design: Design) -> float:
    if design.kind == "equivalence" and design.margin is not None:
        return float(result.p_equivalent(design.margin))
    if design.kind == "non_inferiority" and design.margin is not None:
        return float(result.p_greater(-design.margin))
    return float(result.p_two_sided() if design.two_sided else result.p_greater())


def _components(m: Moments, seed_sd: float) -> Components:
    if m.layout.run_df > 0:
        return components(m)
    # one run per arm: only the registry's variance is known, and unit noise cannot be told from the arms' effect
    return Components(m.layout.share, m.layout.effective, seed_sd**2, np.zeros_like(m.paired), m.paired)


def _benchmarks(matrix: ScoreMatrix, m: Moments) -> tuple[BenchmarkLine, ...]:
    if m.layout.run_df < 1:
        return ()
    found = per_benchmark(m)
    low, high = found.interval()
    return tuple(
        BenchmarkLine(
            name,
            float(m.layout.share[i]),
            int(m.layout.units[i]),
            float(found.estimate[i]),
            (float(low[i]), float(high[i])),
            float(found.p[i]),
            float(found.holm[i]),
        )
        for i, name in enumerate(matrix.benchmarks)
    )


def _assumptions(design: Design, runs: tuple[int, int], prior: Prior | None) -> tuple[str, ...]:
    out = [
        "runs of an arm differ only by their seed (initialisation, order, document sample) and are independent",
        "run effects are near normal and their variance is the same in both arms",
        "units are independent given the run; items that share a passage are one cluster"
        if design.items == "random"
        else "the result speaks of these items, not of benchmarks like them",
    ]
    if min(runs) == 1:
        out.append("equal run variance is not testable with one run: if the candidate's is 2×, the size is about 10 %")
    if prior is not None:
        out.append(
            f"the run variance is shrunk towards {prior.experiments} earlier experiments with the same key "
            f"(prior degrees of freedom {prior.df:.3g})"
        )
    return tuple(out)


def _warnings(
    m: Moments,
    design: Design,
    runs: tuple[int, int],
    claims: tuple[Label, ...],
    registry: Registry | None,
    prior: Prior | None,
    look: int | None,
) -> tuple[str, ...]:
    out = []
    if m.layout.run_df + (0 if prior is None else prior.df) < FEW:
        out.append("very few runs: the test uses ν degrees of freedom and is conservative")
    if registry is not None and prior is None:
        out.append("the noise registry has no entry with this experiment's key and was not used")
    if prior is not None and not prior.trusted:
        out.append(
            f"the noise registry has only {prior.experiments} experiments with this key; its size was shown from 5 on"
        )
    if "inferior" in claims and len(claims) > 1:
        out.append("below the baseline beyond chance, yet within the margin")
    if look is not None:
        out.append("estimates at an early look are biased away from 0")
    if design.mde is not None and m.layout.run_df > 0:
        sampling = Sampling(components(m), runs, 0.0 if prior is None else prior.df, design.items)
        power = sampling.power(design.mde, design.side)
        if power < 0.5:
            out.append(
                f"at the planned effect the power is only {power:.2f}: "
                "an estimate that is significant here exaggerates the effect"
            )
    return tuple(out)
