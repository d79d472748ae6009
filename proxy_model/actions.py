"""What `curate proxy train` and `fit-critical-batch` do: check, work, report, print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curation.commands.output import print_json, print_line, print_table
from curation.pipeline.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from proxy_model.settings import Request
    from proxy_model.train.held_out import HeldOut


def need_torch() -> None:
    """Raises UsageError without the extra."""
    if find_spec("torch") is None:
        raise UsageError("training needs torch", "pip install 'curate-lm[proxy]'")


def train_command(config: Path, overrides: Sequence[str], *, resume: bool, as_json: bool) -> None:
    """Train, measure the baselines, write the report; under torchrun all train and the first does the rest."""
    need_torch()
    from proxy_model.dist.ranks import first_process
    from proxy_model.held_out_text import held_out_of
    from proxy_model.progress import open_listener
    from proxy_model.settings import load_settings
    from proxy_model.train.devices import open_device
    from proxy_model.train.loop import train_model

    request = load_settings(config, list(overrides))
    open_device(request.settings.device, request.settings.precision)  # before documents are encoded
    held, lengths = held_out_of(request)
    with open_listener(quiet=as_json or not first_process()) as listener:
        done = train_model(request.settings, held, resume=resume, listener=listener, byte_lengths=lengths)
        if not first_process():
            return
        if request.config.evaluate.baselines:
            _baselines(request, held, lengths)
    from proxy_model.train_report import write_report

    page = write_report(done.folder)
    if as_json:
        record = {key: value for key, value in asdict(replace(done, model=None)).items() if key != "model"}  # type: ignore[arg-type]
        record["held_out"] = [{**asdict(one), "bits_per_byte": one.bits_per_byte} for one in done.held_out]
        print_json({**record, "report": str(page)})
        return
    print_line(
        f"loss {done.loss:.4f} nats a token over the last tenth; {done.skipped} steps skipped, {done.spikes} spikes"
    )
    rows = [
        [one.name or "all", one.n_bytes, round(one.bits_per_byte, 4)] for one in done.held_out if one.kind != "bucket"
    ]
    if rows:
        print_table(["held-out text", "bytes", "bits per byte"], rows)
    print_line(f"model   {done.folder / 'final'}")
    print_line(f"report  {page}")


def _baselines(request: Request, held: HeldOut | None, lengths: NDArray[np.uint32] | None) -> None:
    """Beside the run, once; the loop has split the same rows off."""
    from proxy_model import baselines
    from proxy_model.train import data
    from proxy_model.train.held_out import of_rows

    settings = request.settings
    if (settings.folder / baselines.BASELINES).exists():
        return
    dataset = data.open_shards(settings.shards)
    rows, kept = data.split_off(data.scheduled(dataset), settings.holdout_share, dataset.manifest)
    if held is None:
        if not len(kept):
            return
        held = of_rows(dataset, kept, data.documents_of(dataset, rows), lengths)
    spellings = None
    if request.tokenizer is not None:
        spellings = baselines.spellings_of(request.tokenizer, request.manifest.vocab_rows)
    baselines.write(settings.folder, baselines.measure(dataset, rows, held, spellings))


def fit_command(folder: Path, *, probe: int, smallest: str | None, largest: str, as_json: bool) -> None:
    """Print a batch table as YAML and write critical_batch.json into the run's folder."""
    need_torch()
    from curation.pipeline.config import count_of
    from proxy_model.critical_batch_fit import fit_run

    sizes = []
    for option, value in (("--smallest", smallest), ("--largest", largest)):
        number = None if value is None else count_of(value)
        if number is not None and (not str(number).isdigit() or int(number) < 1):
            raise UsageError(f"{option} {value!r} is no number of tokens", "write for example 64k or 16M")
        sizes.append(None if number is None else int(number))
    found = fit_run(folder, probe=probe, smallest=sizes[0], largest=sizes[1] or 0)
    if as_json:
        print_json(found)
        return
    _print_fit(found)


def _print_fit(found: dict[str, Any]) -> None:
    curve = found["curve"]
    print_line(f"B = {curve['a']:.4g} · L^{curve['b']:.3f} tokens ({curve['from']})")
    if found["probes"]:
        columns = ["steps", "loss", "noise scale, tokens"]
        print_table(columns, [[one["steps"], one["loss"], one["batch"]] for one in found["probes"]])
    print_line("put into the config of every arm:")
    print_line("batch:")
    for row in found["batch"]:
        print_line(f"  - {{from: {row['from']}, batch: {row['batch']}}}")
