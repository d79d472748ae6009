"""Checks before anything is locked: could every arm be trained and scored as the config says?"""

from __future__ import annotations

import tempfile
from pathlib import Path

import yaml

from curation.pipeline.errors import UsageError
from proxy_model.experiment.arms import Arm
from proxy_model.experiment.runs import TRAIN, RunName, training_config
from proxy_model.experiment.settings import Experiment


def check_trainable(experiment: Experiment, arms: dict[str, Arm]) -> None:
    """Raises UsageError: a model too small for the shards' ids, no tokenizer, no held-out text, other held-out text in
    another arm under a guardrail on it, a device that is not here.
    """
    from proxy_model.held_out_text import held_out_of
    from proxy_model.settings import load_settings
    from proxy_model.train import data
    from proxy_model.train.devices import open_device
    from proxy_model.train.loop import check

    texts = {}
    for name, arm in arms.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / TRAIN
            path.write_text(yaml.safe_dump(training_config(experiment, arm, RunName(name, 0))))
            request = load_settings(path)
        open_device(request.settings.device, request.settings.precision)
        check(request.settings, data.open_shards(request.settings.shards))
        if request.tokenizer is None:
            raise UsageError(f"arm {name}: its tokenizer is not known", "say train: {tokenizer: PATH}")
        held, _ = held_out_of(request)
        texts[name] = "" if held is None else held.digest()
    if len(set(texts.values())) > 1 and any(not isinstance(one, str) for one in experiment.config.guardrails):
        raise UsageError(
            f"arms {', '.join(texts)} hold out different text, so a guardrail on bits per byte compares nothing",
            "say train: {evaluate: {holdout: {documents: FILE}}}, the same for all arms",
        )
