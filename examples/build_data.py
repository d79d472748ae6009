"""Builds `examples/data`: a small real crawl out of freely licensed documentation packages of Debian 12.

    mkdir packages && cd packages && apt-get download apache2-doc debian-handbook postgresql-doc-15 \\
        python3.11-doc rust-doc sqlite3-doc && cd ..
    python examples/build_data.py --packages packages --texts TEXTS --out examples/data

The pages' bytes are as packaged; HTTP headers and addresses are made up, as the warcinfo record says.
TEXTS holds `nonfiction.jsonl.zst` and `speeches.jsonl.zst` (see examples/data/NOTICE.md).  Needs dpkg-deb.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import re
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson
import zstandard

PAGE_BYTES = range(1_500, 60_000)  # no stubs of a few words, and nothing that fills the crawl alone
TEXT_BYTES = 1_450_000  # of books.jsonl before it is compressed
SHARDS = 2
# Addresses of persons; not of examples, nor the mailing list that every page of the PostgreSQL manual names.
EMAIL = re.compile(
    rb"[\w.+-]{1,64}@(?!localhost|lists\.postgresql\.org|[\w.-]{0,60}example)[\w-]{1,63}\.[a-z]{2,10}", re.IGNORECASE
)


@dataclass(frozen=True)
class Source:
    """Pages of one package: `pages` of those under `root` whose path matches `pattern`."""

    package: str
    sha256: str
    root: str
    pattern: str
    site: str
    license: str
    pages: int


_APACHE = ("apache2-doc_2.4.71-1~deb12u1_all.deb", "a7b3d1131c1c63dbf9999b28e75f9a133d30f70492b419936bd51759ac77a01f")
_HANDBOOK = (
    "debian-handbook_11.20220922_all.deb",
    "3d5dbeac1f1afc9c094eab9d0f701f6ecff99c4927d5a4794cf6c85678134faa",
)
_POSTGRES = (
    "postgresql-doc-15_15.20-0+deb12u1_all.deb",
    "4c44bf2c599f208b3f46454a6cf7a72e25ec46ff74d37b59dd31ad76b00eebb7",
)
_PYTHON = (
    "python3.11-doc_3.11.2-6+deb12u9_all.deb",
    "5b3594189d6ef9a6963ce0347fd307a1cc67620ad697e144db366070e2e146be",
)
_RUST = ("rust-doc_1.63.0+dfsg1-2_all.deb", "96ef96fe6df87d939ca713bd7df3d15c2b778ccb892eca025c4ee504146f697b")
_SQLITE = ("sqlite3-doc_3.40.1-2+deb12u2_all.deb", "466e30d7066e2641fa13e56bc662a2ad521b8cc9c17dde9c9dac3d4f105e32f2")

_APACHE_ROOT = "usr/share/doc/apache2-doc/manual"
_APACHE_SITE = "https://httpd.apache.org/docs/2.4"
_BOOK_ROOT = "usr/share/doc/debian-handbook/html"
_BOOK_SITE = "https://debian-handbook.info/browse"
_RUST_ROOT = "usr/share/doc/rust-doc/html"

SOURCES = (
    Source(*_APACHE, _APACHE_ROOT, r"en/.*\.html", _APACHE_SITE, "Apache-2.0", 60),
    Source(*_APACHE, _APACHE_ROOT, r"fr/.*\.html", _APACHE_SITE, "Apache-2.0", 30),
    # untranslated pages of these are links to the English ones: real exact duplicates
    Source(*_APACHE, _APACHE_ROOT, r"(de|es|ja|ko|tr|zh-cn)/.*\.html", _APACHE_SITE, "Apache-2.0", 90),
    Source(
        *_HANDBOOK,
        _BOOK_ROOT,
        r"(de-DE|en-US|es-ES|fr-FR|ja-JP|pt-BR)/sect\..*\.html",
        _BOOK_SITE,
        "CC-BY-SA-3.0",
        90,
    ),
    Source(
        *_POSTGRES,
        "usr/share/doc/postgresql-doc-15/html",
        r".*\.html",
        "https://www.postgresql.org/docs/15",
        "PostgreSQL",
        90,
    ),
    Source(
        *_PYTHON,
        "usr/share/doc/python3.11/html",
        r"(library|tutorial|howto|reference|faq|c-api)/.*\.html|genindex-[JQXYZ]\.html|contents\.html",
        "https://docs.python.org/3.11",
        "PSF-2.0",
        70,
    ),
    Source(*_RUST, _RUST_ROOT, r"book/ch.*\.html", "https://doc.rust-lang.org/1.63.0", "MIT OR Apache-2.0", 40),
    Source(*_RUST, _RUST_ROOT, r"std/(iter|vec)/.*\.html", "https://doc.rust-lang.org/1.63.0", "MIT OR Apache-2.0", 20),
    Source(*_SQLITE, "usr/share/doc/sqlite3", r"[a-z0-9_]*\.html", "https://www.sqlite.org", "public domain", 50),
)
IMAGE = Source(*_PYTHON, "usr/share/doc/python3.11/html", r"_static/py\.png", SOURCES[5].site, "PSF-2.0", 1)


@dataclass(frozen=True)
class Record:
    """One WARC record before it is written."""

    kind: str
    url: str
    date: str
    license: str
    content_type: str
    payload: bytes

    def stored(self, number: int) -> bytes:
        """The record as one gzip member, the same bytes on every machine."""
        name = uuid.uuid5(uuid.NAMESPACE_URL, f"{self.kind} {number} {self.url}")
        head = [
            "WARC/1.0",
            f"WARC-Type: {self.kind}",
            f"WARC-Record-ID: <urn:uuid:{name}>",
            f"WARC-Date: {self.date}",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {len(self.payload)}",
        ]
        if self.kind != "warcinfo":
            head += [f"WARC-Target-URI: {self.url}", f"X-Source-License: {self.license}"]
        return gzip.compress("\r\n".join(head).encode() + b"\r\n\r\n" + self.payload + b"\r\n\r\n", 9, mtime=0)


def response(url: str, date: str, license: str, body: bytes, mime: str = "text/html", status: str = "200 OK") -> Record:
    """A response record around a body; the Content-Type names no charset, as on half of the web."""
    http = f"HTTP/1.1 {status}\r\nContent-Type: {mime}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    return Record("response", url, date, license, "application/http; msgtype=response", http + body)


def request(of: Record) -> Record:
    """The request that a crawler would have stored beside a response."""
    host, _, path = of.url.removeprefix("https://").partition("/")
    payload = f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: curate-example\r\n\r\n".encode()
    return Record("request", of.url, of.date, of.license, "application/http; msgtype=request", payload)


def by_hash(text: str) -> str:
    """A fixed shuffle: sort key that depends on the name only."""
    return hashlib.sha256(text.encode()).hexdigest()


def pages(source: Source, unpacked: Path) -> Iterator[Record]:
    """The chosen pages of a package, in shuffled order; pages with e-mail addresses are left out."""
    root = unpacked / source.package / source.root
    names = [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]
    wanted = sorted((name for name in names if re.fullmatch(source.pattern, name)), key=by_hash)
    chosen = 0
    for name in wanted:
        body = (root / name).read_bytes()
        image = name.endswith(".png")
        if chosen < source.pages and (image or len(body) in PAGE_BYTES) and not EMAIL.search(body):
            chosen += 1
            date = datetime.fromtimestamp((root / name).stat().st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            mime = "image/png" if image else "text/html"
            yield response(f"{source.site}/{name}", date, source.license, body, mime)


def warcinfo(number: int) -> Record:
    """Says what is real here and what is not."""
    payload = (
        b"software: examples/build_data.py of curate\r\n"
        b"format: WARC File Format 1.0\r\n"
        b"description: pages of freely licensed documentation packages of Debian 12 (see NOTICE.md); page bytes as\r\n"
        b"  packaged, WARC-Date = file date in the package, HTTP headers synthetic, addresses those of the same\r\n"
        b"  documentation on the web\r\n"
    )
    return Record("warcinfo", f"crawl-{number}", "2026-11-20T00:00:00Z", "", "application/warc-fields", payload)


def unpack(package: str, sha256: str, packages: Path, unpacked: Path) -> None:
    """Unpack a package whose digest is the expected one.  Raises SystemExit otherwise."""
    found = hashlib.sha256((packages / package).read_bytes()).hexdigest()
    if found != sha256:
        raise SystemExit(f"{package}: sha256 {found}, expected {sha256}")
    if not (unpacked / package).exists():
        subprocess.run(["dpkg-deb", "-x", packages / package, unpacked / package], check=True)


def write_crawl(packages: Path, out: Path) -> None:
    """Two crawl files, pages of all sources shuffled together, and the first pages of one cut in a record."""
    with tempfile.TemporaryDirectory() as folder:
        unpacked = Path(folder)
        for source in (*SOURCES, IMAGE):
            unpack(source.package, source.sha256, packages, unpacked)
        records = sorted((page for s in SOURCES for page in pages(s, unpacked)), key=lambda r: by_hash(r.url))
        [image] = pages(IMAGE, unpacked)
    missing = b"<html><head><title>404 Not Found</title></head><body><h1>Not Found</h1></body></html>"
    absent = response(f"{SOURCES[0].site}/en/absent.html", image.date, "CC0-1.0", missing, status="404 Not Found")
    first = records[0]
    outlinks = Record("metadata", first.url, first.date, first.license, "application/warc-fields", b"via: seed\r\n")
    records[1:1] = [request(first), outlinks]
    records[40:40] = [image, absent]
    for shard in range(SHARDS):
        members = [warcinfo(shard), *records[shard::SHARDS]]
        stored = [record.stored(number) for number, record in enumerate(members)]
        (out / f"crawl-{shard:05}.warc.gz").write_bytes(b"".join(stored))
        if shard == 0:
            (out / "crawl-cut.warc.gz").write_bytes(b"".join(stored[:1] + stored[-8:])[: -len(stored[-1]) // 2])


def write_texts(texts: Path, out: Path) -> None:
    """Speeches and guides without e-mail addresses, as many as fit, in shuffled order."""
    rows = []
    for name in ("nonfiction", "speeches"):
        with (texts / f"{name}.jsonl.zst").open("rb") as stored:
            lines = zstandard.ZstdDecompressor().stream_reader(stored).read().splitlines()
        rows += [orjson.loads(line) for line in lines if not EMAIL.search(line)]
    kept, size = [], 0
    for row in sorted(rows, key=lambda row: by_hash(row["id"])):
        line = orjson.dumps({key: row[key] for key in ("id", "text", "url", "license") if row.get(key)})
        if size + len(line) <= TEXT_BYTES:
            kept.append(line)
            size += len(line)
    packed = zstandard.ZstdCompressor(level=19).compress(b"\n".join(kept) + b"\n")
    (out / "books.jsonl.zst").write_bytes(packed)


def main() -> None:
    """Build everything into `--out`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, required=True)
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    write_crawl(options.packages, options.out)
    write_texts(options.texts, options.out)


if __name__ == "__main__":
    main()
