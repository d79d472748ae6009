"""A plan report in lines for a terminal."""

from __future__ import annotations

from packing.plan.report import PlanReport


def report_lines(plan: PlanReport) -> list[str]:
    """What a person decides by: padding, cuts, losses, cost, size and time."""
    share = plan.documents_cut / plan.documents if plan.documents else 0.0
    per, cost = plan.fragments_per_sequence, plan.cost_share
    extra = plan.sequences - plan.lower_bound
    lines = [
        f"{plan.documents:,} documents, {plan.tokens:,} tokens → {plan.sequences:,} sequences of "
        f"{plan.sequence_length:,} ({plan.method}, long documents: {plan.policy})",
        f"padding     {plan.padding_share:.4%} ({extra:,} sequences above the least possible)",
        f"cuts        {share:.2%} of documents: {plan.cuts_necessary:,} longer than a sequence, "
        f"{plan.cuts_unnecessary:,} that would have fitted",
        f"fragments   {per.mean:.1f} a sequence, median {per.median:.0f}, 99 % up to {per.p99:.0f}",
        f"attention   {cost.mean:.1%} of the cost without boundaries; by sequence median {cost.median:.1%}, "
        f"90 % up to {cost.p90:.1%}",
        f"on disk     {plan.disk_bytes / 1e9:,.2f} GB; about {plan.cpu_seconds / 3600:,.2f} CPU hours to write",
    ]
    if plan.token_loss:
        lines.append(
            f"lost        {plan.token_loss:.2%} of tokens: {plan.tokens_truncated:,} truncated, "
            f"{plan.tokens_dropped:,} in {plan.documents_dropped:,} dropped documents"
        )
    if plan.epochs is not None:
        lines.append(f"epochs      {plan.epochs:.2f} for the training budget")
    return lines
