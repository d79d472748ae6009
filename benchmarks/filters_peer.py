"""The peer of filters.py: datatrove's own filters, run by its own interpreter (no imports of ours).

Reads one JSON array of texts from the file named on the command line, then answers the commands
`agree` (of each filter on its own: reasons, and a digest of the text that it leaves) and `chain`
(CPU time of the chain with early exit, and its reasons) on standard input with one JSON line each.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from importlib.metadata import version

from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)

FILTERS = {
    "gopher-repetition": GopherRepetitionFilter(),
    "gopher-quality": GopherQualityFilter(),
    "c4-datatrove": C4QualityFilter(),
    "fineweb-code": FineWebQualityFilter(),
    "fineweb-paper": FineWebQualityFilter(char_duplicates_ratio=0.1),
}
CHAIN = ("gopher-repetition", "gopher-quality", "c4-datatrove", "fineweb-code")


def reason(name: str, document: Document) -> str | None:
    """Why the filter removes the document, or None; C4's takes lines out of its text."""
    outcome = FILTERS[name].filter(document)
    return None if outcome is True else outcome[1]


def alone(text: str) -> dict[str, tuple[str | None, str]]:
    """By filter: (why it removes the text or None, SHA-256 of the text that it leaves)."""
    found = {}
    for name in FILTERS:
        document = Document(text=text, id="0")
        found[name] = (reason(name, document), hashlib.sha256(document.text.encode()).hexdigest())
    return found


def chain(text: str) -> str | None:
    """Why the first filter of the chain that removes the text does so, or None."""
    document = Document(text=text, id="0")
    for name in CHAIN:
        why = reason(name, document)
        if why is not None:
            return why
    return None


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        texts = json.load(file)
    alone("Load the tokenizer before the clock starts.")
    print(json.dumps({name: version(name) for name in ("datatrove", "spacy")}), flush=True)
    for command in sys.stdin:
        if command.strip() == "agree":
            answer: object = [alone(text) for text in texts]
        else:
            start = time.process_time()
            reasons = [chain(text) for text in texts]
            answer = {"seconds": time.process_time() - start, "reasons": reasons}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
