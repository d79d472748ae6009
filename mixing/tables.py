"""Plans and samples as tables for the terminal."""

from __future__ import annotations

from typing import Any

from curation.commands.output import print_line, print_table
from curation.text.display import name

CELLS = ["cell", "documents", "unique tokens", "base", "plan", "tokens", "epochs", "cap", "D′"]


def print_plan(record: dict[str, Any], shown: int) -> None:
    """Cells by their tokens, then what was decided; `record`: a plan.json, or a plan without a sample."""
    cells = record["cells"]
    whole = max(record["planned"], 1.0)
    rows = [
        [
            _cell_name(one), one["documents"], one["tokens"], f"{one['prior']:.3%}", f"{one['planned'] / whole:.3%}",
            round(one["planned"]), f"{one['epochs']:.3f}", "none" if one["cap"] is None else f"{one['cap']:g}",
            round(one["effective"]),
        ]
        for one in sorted(cells, key=lambda one: -one["planned"])[:shown]
    ]  # fmt: skip
    print_table(CELLS, rows)
    if len(cells) > shown:
        print_line(f"… and {len(cells) - shown:,} more cells (--cells)")
    unique, effective = (sum(one[key] for one in cells) for key in ("tokens", "effective"))
    print_line(
        f"\nbudget {record['budget']:,.0f} of {unique:,} unique tokens; planned {record['planned']:,.0f}, deficit "
        f"{record['deficit']:,.0f}; worth {effective:,.0f} fresh ones"
    )
    print_line(
        f"tilt λ {record['lambda']:.4f}, KL {record['kl']:.4f} nats, effective sample {record['ess']:.1%}; "
        f"{'caps as asked' if record['policy'] is None else 'on_deficit: ' + record['policy']}"
    )
    for what in ("floors", "ceilings"):
        bound = [f"{name(key)} {one['held']:,.0f}" for key, one in record[what].items() if one["binds"]]
        print_line(f"{what} that bind: {', '.join(bound) or 'none'}")
    for key, missing in record["deficits"].items():
        print_line(f"floor of {name(key)}: {missing:,.0f} tokens short")
    if record["folded"]:
        print_line(f"{len(record['folded'])} cells below half a document went to others of their category:")
        for one in record["folded"][:shown]:
            print_line(f"  {name(one['name'])}: {one['tokens']:,.1f} tokens")
    for line in record["warnings"]:
        print_line(f"warning: {name(line, 1000)}")


def _cell_name(one: dict[str, Any]) -> str:
    bucket = "–" if one["bucket"] < 0 else str(one["bucket"])
    return "/".join(x for x in (one["source"], one["category"], bucket, one["language"], one["length"]) if x != "*")


def print_sample(record: dict[str, Any]) -> None:
    """Queues, repeats, distances, ablation."""
    print_line(
        f"sampled {record['tokens']:,} tokens: {record['occurrences']:,} occurrences of "
        f"{record['documents']:,} documents"
    )
    print_table(
        ["queue", "tokens", "weight"], [[q["name"], q["tokens"], f"{q['weight']:.4f}"] for q in record["queues"]]
    )
    repeats = record.get("repeats")
    if not repeats:
        return
    ways = [key for key in ("final", "matched", "ordinary") if key in repeats]
    most = max(len(repeats[key]) for key in ways)
    rows = [
        [copies, *(f"{repeats[key][copies] if copies < len(repeats[key]) else 0.0:.4f}" for key in ways)]
        for copies in range(1, most)
    ]
    print_line("\nshare of tokens by number of copies")
    print_table(["copies", *ways], rows)
    if "distance" in repeats:
        apart = ", ".join(f"{key} {value:.4f}" for key, value in repeats["distance"].items())
        print_line(f"total variation from the final run: {apart}")
    if "ablation" in record:
        one = record["ablation"]
        print_line(
            f"ablation: {one['tokens']:,} tokens ({one['share']:.4%}), {one['documents']:,} documents, "
            f"{'matched' if one['matched'] else 'ordinary'}; categories {one['category_distance']:.4f} apart"
        )
    for line in record.get("warnings", []):
        print_line(f"warning: {name(line, 1000)}")
