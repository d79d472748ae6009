"""`curate proxy export`: a checkpoint of ours as a transformers MiniMax checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from curation.commands.output import print_json, print_line
from curation.pipeline.errors import UsageError, explain_os_error

TARGETS = ("hf",)


@dataclass(frozen=True)
class Exported:
    """What was written."""

    directory: Path
    lost: list[str]  # what transformers will compute differently
    tokenizer: Path | None


def export(checkpoint: Path, out: Path, to: str = "hf", *, allow_lossy: bool = False) -> Exported:
    """Export `checkpoint` (a folder with config.json and model.safetensors, or a training run's folder) to `out`.

    The tokenizer is the tokenizer.json in the checkpoint's folder or in one of the two above it, else that of the run
    that packed its shards.  Raises UsageError, ModelFileError, LossyExport.
    """
    if to not in TARGETS:
        raise UsageError(f"there is no export to {to!r}", f"known: {', '.join(TARGETS)}")
    from proxy_model.files import CONFIG, load_model, read_extra
    from proxy_model.hf.export import export_hf
    from proxy_model.own_tokenizer import own_tokenizer

    folder = checkpoint / "final" if (checkpoint / "final" / CONFIG).exists() else checkpoint
    if out.resolve() in (folder.resolve(), checkpoint.resolve()):
        raise UsageError(f"{out} is the checkpoint itself", "name another folder")
    model = load_model(folder)
    tokenizer = own_tokenizer(folder, read_extra(folder).get("tokenizer"))
    try:
        lost = export_hf(model, out, allow_lossy=allow_lossy, tokenizer=tokenizer)
    except OSError as error:
        raise UsageError(f"{out}: {explain_os_error(error)}", "name another folder") from None
    return Exported(out, lost, tokenizer)


def export_command(checkpoint: Path, out: Path, to: str, *, allow_lossy: bool, as_json: bool) -> None:
    """Export and say what was written."""
    if find_spec("torch") is None:
        raise UsageError("export needs torch", "pip install 'curate-lm[proxy]'")
    done = export(checkpoint, out, to, allow_lossy=allow_lossy)
    if as_json:
        print_json(
            {"directory": str(done.directory), "lost": done.lost, "tokenizer": done.tokenizer and str(done.tokenizer)}
        )
        return
    for loss in done.lost:
        print_line(f"lost       {loss}")
    print_line(f"tokenizer  {done.tokenizer or 'none found beside the checkpoint'}")
    print_line(f"written    {done.directory}")
