"""One run in a process of its own: `worker.py CONFIG ARM NUMBER [--pilot=RUNS:ARMS] [KEY=VALUE …]`.

Progress goes to stdout, a JSON line each; when the process that reads it is gone, writing fails and the run ends (its
checkpoint stays).
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from curation.pipeline.errors import CurateError

EVERY_S = 0.5
PILOT = "--pilot="


def main(arguments: list[str]) -> int:
    """0 done, 1 the run failed, 2 the request is wrong."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    config, arm, number, *rest = arguments
    try:
        told = [one for one in rest if not one.startswith(PILOT)]
        pilot = "".join(one.removeprefix(PILOT) for one in rest if one.startswith(PILOT))
        work(Path(config), arm, int(number), told, pilot)
    except CurateError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def work(config: Path, arm: str, number: int, overrides: list[str], pilot: str) -> None:
    """As `curate ab run --only ARM:NUMBER`, but the lock was compared before."""
    from proxy_model.experiment.arms import read_arms
    from proxy_model.experiment.lock import read_lock
    from proxy_model.experiment.runs import RunName, one_run
    from proxy_model.experiment.settings import load_experiment, pilot_of
    from proxy_model.experiment.suite import load_suite

    experiment = load_experiment(config, overrides)
    if pilot:
        runs, _, arms = pilot.partition(":")
        experiment = pilot_of(experiment, arms.split(","), int(runs))
    lock = read_lock(experiment)
    told = _Told()
    one_run(experiment, read_arms(experiment)[arm], RunName(arm, number), load_suite(experiment), lock["hash"], told)


class _Told:
    def __init__(self) -> None:
        self.last = 0.0

    def __call__(self, stage: str, done: int, of: int, words: str) -> None:
        now = time.monotonic()
        if done < of and now - self.last < EVERY_S:
            return
        self.last = now
        sys.stdout.write(json.dumps({"stage": stage, "done": done, "of": of, "words": words}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
