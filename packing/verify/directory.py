"""`verify`: is this directory what was written, and is what was written right?

manifest   format, root digest, checksum; counts that must agree
files      sizes, SHA-256, CRC-32 of each MiB; nothing missing, nothing that nobody wrote
rows       ids, EOS, BOS, padding, index, provenance, fragment table
documents  every token of every copy once; lists and ledger
order      schedules against rows
texts      N documents encoded again (`sample`), if the run's documents and tokenizer are given
readers    exports opened with the real libraries (`readers`), if installed
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from curation.pipeline.errors import CurateError, UsageError
from packing.layout import files
from packing.layout.digests import damage
from packing.layout.manifest import FileDigest, LayoutError, Manifest
from packing.verify.contents import shard_faults
from packing.verify.documents import document_faults
from packing.verify.faults import Fault, Report
from packing.verify.order import manifest_faults, order_faults


def verify(
    directory: Path,
    *,
    tokenizer: Path | None = None,
    documents: Sequence[Path] = (),
    sample: int = 0,
    readers: Sequence[str] = (),
) -> Report:
    """Every fault that can be found.  Contents are looked at only where files are as they were written.

    `sample` documents are encoded again with `tokenizer` from `documents` (Parquet with id and text).  Raises
    UsageError: no finished directory, `sample` without its inputs, a reader that is unknown or not installed.
    """
    if not directory.is_dir() or not (directory / files.MANIFEST).exists():
        from packing.verify.faults import open_manifest

        open_manifest(directory)
    report = Report(directory)
    try:
        manifest = Manifest.read(directory)
    except LayoutError as error:
        report.faults.append(Fault(files.MANIFEST, str(error)))
        return report
    report.root = manifest.root
    if (directory / files.MANIFEST).read_bytes() != manifest.to_json():
        report.faults.append(Fault(files.MANIFEST, "the same values, but not the bytes that were written"))
    report.faults += manifest_faults(manifest)
    damaged = {fault.file: fault for fault in _file_faults(directory, manifest)}
    report.faults += damaged.values()
    report.faults += _strangers(directory, manifest)
    for shard in manifest.shards:
        if not any(one.name in damaged for one in shard.files):
            report.faults += shard_faults(directory, manifest, shard)
    if not damaged:
        report.faults += order_faults(directory, manifest, report.notes)
        report.faults += document_faults(directory, manifest)
    report.checked = {
        "files": len(listed_files(manifest)),
        "bytes": sum(one.bytes for one in listed_files(manifest)),
        "rows": sum(shard.rows for shard in manifest.shards),
        "fragments": sum(shard.fragments for shard in manifest.shards),
        "tokens": sum(shard.tokens for shard in manifest.shards),
    }
    if sample:
        _check_texts(report, manifest, tokenizer, documents, sample)
    if report.ok:
        for one in readers:
            _check_reader(report, one)
    return report


def listed_files(manifest: Manifest) -> list[FileDigest]:
    """Every file that the manifest vouches for."""
    shards = [one for shard in manifest.shards for one in shard.files]
    return [*shards, *(stage.file for stage in manifest.stages if stage.file), *manifest.files]


def _file_faults(directory: Path, manifest: Manifest) -> Iterator[Fault]:
    for number, stage in enumerate(manifest.stages):
        if stage.file is None or stage.file.name != f"order/stage{number}.u16":
            yield Fault(files.MANIFEST, f"stage {number} does not list its order file")
    for one in listed_files(manifest):
        if Path(one.name).is_absolute() or ".." in Path(one.name).parts:
            yield Fault(files.MANIFEST, f"lists {one.name!r}, which is outside the directory")
        elif words := damage(directory, one):
            yield Fault(one.name, "; ".join(words))


def _strangers(directory: Path, manifest: Manifest) -> Iterator[Fault]:
    """Files where only ours belong, that the manifest does not list: a copied shard, an attempt that was killed."""
    known = {one.name for one in listed_files(manifest)}
    for folder in ("data", "index", "order"):
        for path in sorted((directory / folder).rglob("*")):
            if not path.is_dir() and (name := path.relative_to(directory).as_posix()) not in known:
                yield Fault(name, "the manifest does not list it")


def _check_texts(
    report: Report, manifest: Manifest, tokenizer: Path | None, documents: Sequence[Path], sample: int
) -> None:
    if tokenizer is None or not documents:
        raise UsageError(
            "--sample encodes documents again: it needs the tokenizer and the documents",
            "give --tokenizer TOKENIZER --documents 'runs/NAME/documents/*.parquet'",
        )
    from packing.verify.texts import text_faults

    if report.ok:
        faults, compared = text_faults(report.directory, manifest, tokenizer, documents, sample)
        report.faults += faults
        report.checked["documents encoded again"] = compared


def _check_reader(report: Report, to: str) -> None:
    from packing.export.registry import FORMATS, export
    from packing.verify.readers import READERS, installed, read_back

    if to not in READERS:
        raise UsageError(f"no reader is called {to!r}", f"known: {', '.join(FORMATS)}")
    if not installed(to):
        raise UsageError(f"{READERS[to][0]} is not installed here", "see docs/packing-export.md for its environment")
    with tempfile.TemporaryDirectory() as scratch:
        try:
            exported = export(report.directory, to, Path(scratch) / to)
            result = read_back(report.directory, to, exported.path)
        except CurateError as error:
            report.faults.append(Fault(to, str(error)))
            return
        except ImportError as error:
            raise UsageError(
                f"{READERS[to][0]} is installed, but not what it needs to read: {error}",
                "see docs/packing-export.md for its environment",
            ) from None
        except Exception as error:  # of a library that is not ours: it could not read what it should
            report.faults.append(Fault(to, f"{READERS[to][0]} failed: {type(error).__name__}: {error}"))
            return
    report.checked[f"rows read by {result.reader}"] = result.equal
    if not result.whole:
        detail = {what: count for what, count in result.wrong.items() if count}
        report.faults.append(Fault(to, f"{result.equal} of {result.rows} rows equal in {result.reader}; {detail}"))
