"""What `curate pack` does: a corpus of files, or the `pack:` section of a config; plan, or write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from curation.commands.output import find_run, print_json, print_line, print_table
from curation.pipeline.errors import UsageError
from curation.text.display import name
from packing.config import PackConfig

YAML = (".yaml", ".yml")


def pack_command(
    inputs: Sequence[Path], *, plan: bool, tokenizer: Path | None, out: Path | None, settings: dict[str, Any],
    seed: int | None, workers: int, as_json: bool,
) -> None:  # fmt: skip
    """Plan or pack.  `settings`: keys of the `pack:` section that were given on the command line."""
    config_file = inputs[0] if len(inputs) == 1 and inputs[0].suffix in YAML else None
    if config_file is not None:
        if settings or tokenizer or out or seed is not None:
            raise UsageError("a config says how to pack by itself", "change its `pack:` section, or give documents")
        corpus, config = _of_run(config_file)
        if not plan:
            _run(config_file, as_json)
            return
    else:
        corpus, config = list(inputs), _validated(settings)
    if plan:
        _show_plan(corpus, config, as_json)
        return
    if tokenizer is None or out is None:
        raise UsageError("packing needs --tokenizer and --out", "or --plan, to see what it would give")
    _write(corpus, tokenizer, out, config, seed or 0, workers, as_json)


def _validated(settings: dict[str, Any]) -> PackConfig:
    try:
        return PackConfig.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        option = "--" + str(first["loc"][0]).replace("_", "-") + ": " if first["loc"] else ""
        raise UsageError(option + first["msg"].removeprefix("Value error, "), "see curate pack --help") from None


def _of_run(path: Path) -> tuple[list[Path], PackConfig]:
    from curation.pipeline.config import load

    section = load(path).sections.get("pack")
    if section is None:
        raise UsageError(f"{path} has no `pack:` section", "add  pack: {sequence_length: 2048}")
    assert isinstance(section, PackConfig)
    return [Path(path)], section


def _run(path: Path, as_json: bool) -> None:
    from curation.commands.running import run_config

    run_config(path, until="pack", overrides=[], strict=False, yes=False, report=True, quiet=as_json, as_json=as_json)


def _show_plan(corpus: Sequence[Path], config: PackConfig, as_json: bool) -> None:
    from packing.corpus_plan import as_json as plans_as_json
    from packing.corpus_plan import plan_corpus, plan_schedule, schedule_as_json
    from packing.plan.report_text import report_lines

    if corpus and corpus[0].suffix in YAML:
        folder = find_run(str(corpus[0])) / "documents"
        if not folder.is_dir():
            raise UsageError(f"{folder} is not there", f"run it first: curate run {corpus[0]} --until tokenizer")
        corpus = [folder]
    plans = plan_corpus(corpus, config)
    schedule = plan_schedule(corpus, config) if config.stages or config.weights else None
    if as_json:
        print_json(plans_as_json(plans) | ({} if schedule is None else {"stages": schedule_as_json(schedule)}))
        return
    for queue, one in plans.items():
        print_line(f"queue {name(queue) or '-'}")
        for line in report_lines(one):
            print_line(f"  {line}")
        print_line()
    if schedule is not None:
        rows = [
            [plan.stage.name, name(need.queue), f"{need.wanted:,.0f}", need.available, f"{need.epochs:.2f}"]
            for plan in schedule.stages
            for need in plan.needs
            if need.wanted
        ]
        print_table(["stage", "queue", "tokens wanted", "tokens there", "epochs"], rows)
        for need in schedule.by_class:
            if need.wanted:
                print_line(f"all stages, {need.queue}: {need.epochs:.2f} epochs")


def _write(
    corpus: Sequence[Path], tokenizer: Path, out: Path, config: PackConfig, seed: int, workers: int, as_json: bool
) -> None:
    from packing.write.job import write_shards

    made = write_shards(
        corpus, tokenizer, out, config.sets(seed)[0], queues=config.queues,
        mix=Path(config.mix) if config.mix else None, workers=workers, eos=config.eos_token, pad=config.pad_token,
        bos=config.bos_token,
    )  # fmt: skip
    if as_json:
        print_json({"out": str(out), "root": made.root, "ledger": made.ledger})
        return
    length = made.sequence_length
    rows = [
        [queue.name, queue.rows, queue.tokens, f"{1 - queue.tokens / max(1, queue.rows * length):.4%}"]
        for queue in made.queues
    ]
    print_table(["queue", "rows", "tokens", "padding"], rows)
    print_line(f"\n{out}, root {made.root}\ncheck it with:  curate shards verify {out}")
