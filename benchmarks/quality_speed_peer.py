"""The peer of quality_speed.py: one fastText classifier with DCLM's settings, run by its own interpreter.

Arguments: training file (JSON lines of [text, 0 or 1]) and files of documents (JSON lines of texts).  Trains at once,
prints its versions, then answers `predict FILE` with the CPU seconds of predicting that file's documents, of cleaning
them (fastText reads one line: newlines must go) and how many it called 1; `train` with its accuracy on the training
texts and the rows of its matrix.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import fasttext


def read(path: str) -> list:
    return [json.loads(line) for line in Path(path).read_text("utf-8").split("\n") if line]


def main() -> None:
    labelled, sets = read(sys.argv[1]), {path: read(path) for path in sys.argv[2:]}
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        for text, label in labelled:
            file.write(f"__label__{label} {text.replace(chr(10), ' ')}\n")
        file.flush()
        model = fasttext.train_supervised(file.name, wordNgrams=2, dim=100, thread=1, epoch=25, verbose=0)
    print(json.dumps({"fasttext-community": version("fasttext-community")}), flush=True)
    for line in sys.stdin:
        command, *rest = line.split()
        if command == "train":
            found = model.predict([text.replace("\n", " ") for text, _ in labelled])[0]
            right = sum(f[0] == f"__label__{label}" for f, (_, label) in zip(found, labelled, strict=True))
            answer = {"accuracy": right / len(labelled), "rows": model.get_input_matrix().shape[0]}
        else:
            start = time.process_time()
            cleaned = [text.replace("\n", " ") for text in sets[rest[0]]]
            middle = time.process_time()
            labels = model.predict(cleaned)[0]
            end = time.process_time()
            answer = {
                "clean": middle - start,
                "predict": end - middle,
                "ones": sum(f[0] == "__label__1" for f in labels),
            }
        print(json.dumps(answer), flush=True)


main()
