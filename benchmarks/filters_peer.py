"""The peer of filters.py: datatrove's own filters, run by its own interpreter (no imports of ours).

Reads one JSON array of texts from the file named on the command line, then answers the commands
`agree` (reasons of each filter on its own) and `chain` (CPU time of the chain with early exit)
on standard input with one JSON line each.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version

from datatrove.data import Document
from datatrove.pipeline.filters import FineWebQualityFilter, GopherQualityFilter, GopherRepetitionFilter

FILTERS = {
    "gopher-repetition": GopherRepetitionFilter(),
    "gopher-quality": GopherQualityFilter(),
    "fineweb-code": FineWebQualityFilter(),
    "fineweb-paper": FineWebQualityFilter(char_duplicates_ratio=0.1),
}
CHAIN = ("gopher-repetition", "gopher-quality", "fineweb-code")


def reason(name: str, text: str) -> str | None:
    """Why the filter removes the text, or None."""
    outcome = FILTERS[name].filter(Document(text=text, id="0"))
    return None if outcome is True else outcome[1]


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        texts = json.load(file)
    for name in FILTERS:
        reason(name, "Load the tokenizer before the clock starts.")
    print(json.dumps({name: version(name) for name in ("datatrove", "spacy")}), flush=True)
    for command in sys.stdin:
        if command.strip() == "agree":
            answer: object = [{name: reason(name, text) for name in FILTERS} for text in texts]
        else:
            start = time.process_time()
            for text in texts:
                for name in CHAIN:
                    if reason(name, text) is not None:
                        break
            answer = time.process_time() - start
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
