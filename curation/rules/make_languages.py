"""Writes data/languages.yaml: thresholds by language, from FineWeb-2's configs and clean text.

A maintainer's tool, not part of any run: `python -m curation.rules.make_languages CONFIGS TEXTS`, where
CONFIGS is the folder `configs` of huggingface/fineweb-2 (Apache-2.0) and TEXTS holds clean documents as
JSONL(.zst) with `text` and `lang`.  docs/rules-languages.md says how a value of theirs becomes one of ours.
"""

from __future__ import annotations

import io
import json
import math
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
import zstandard

from curation.rules.thresholds import RemoveIf, RuleSet
from curation.text.statistics import measure

DATA = Path(__file__).parent / "data"
COMMIT = "d0defb2"  # of huggingface/fineweb-2

# Code of lid.176 → configs of FineWeb-2; where a language is written in two scripts, the laxer value counts.
CONFIGS = {
    "ar": ["arb_Arab"], "bg": ["bul_Cyrl"], "bn": ["ben_Beng"], "bs": ["bos_Latn"], "ca": ["cat_Latn"],
    "cs": ["ces_Latn"], "da": ["dan_Latn"], "de": ["deu_Latn"], "el": ["ell_Grek"], "es": ["spa_Latn"],
    "et": ["ekk_Latn"], "fa": ["fas_Arab"], "fi": ["fin_Latn"], "fr": ["fra_Latn"], "gu": ["guj_Gujr"],
    "he": ["heb_Hebr"], "hi": ["hin_Deva"], "hr": ["hrv_Latn"], "hu": ["hun_Latn"], "id": ["ind_Latn"],
    "it": ["ita_Latn"], "ja": ["jpn_Jpan"], "ko": ["kor_Hang"], "la": ["lat_Latn"], "lo": ["lao_Laoo"],
    "lt": ["lit_Latn"], "lv": ["lvs_Latn"], "ml": ["mal_Mlym"], "my": ["mya_Mymr"], "ne": ["npi_Deva"],
    "nl": ["nld_Latn"], "nn": ["nno_Latn"], "no": ["nob_Latn"], "pl": ["pol_Latn"], "pt": ["por_Latn"],
    "ro": ["ron_Latn"], "ru": ["rus_Cyrl"], "sk": ["slk_Latn"], "sl": ["slv_Latn"],
    "sr": ["srp_Cyrl", "srp_Latn"], "sv": ["swe_Latn"], "ta": ["tam_Taml"], "te": ["tel_Telu"],
    "th": ["tha_Thai"], "tr": ["tur_Latn"], "uk": ["ukr_Cyrl"], "uz": ["uzn_Latn", "uzn_Cyrl"],
    "vi": ["vie_Latn"], "zh": ["cmn_Hani"],
}  # fmt: skip
UNSPACED = ("ja", "lo", "my", "th", "zh")  # one code point is one word of our segmenter
CLEAN_REMOVED = 0.01  # of clean documents that one threshold may remove where its words are not FineWeb-2's
LEAST_DOCUMENTS = 30  # with at least 50 words; a quantile of fewer says nothing, so the threshold is switched off
OFF = {RemoveIf.BELOW: 0.0, RemoveIf.ABOVE: 1.0}  # of a share

# What FineWeb-2 sets alike for every language; English stop words are all that our statistics count.
ALIKE = {
    "gopher-repetition.max_duplicate_paragraphs": 1, "gopher-repetition.max_duplicate_paragraph_chars": 1,
    "gopher-repetition.max_duplicate_line_chars": 1, "gopher-quality.min_stop_words": 0,
    "fineweb-paper.max_short_lines": 1, "fineweb-paper.max_duplicate_line_chars": 0.1,
    "fineweb-code.max_short_lines": 1, "fineweb-code.max_duplicate_line_chars": 0.1,
    # Our own: these two know English words only, and pages in other languages hold English parts.
    "curate-junk.max_damaged_tokens": 1, "curate-junk.max_pair_disorder": 1,
}  # fmt: skip
# In scripts without case what is cased are names and code: they say nothing of the text.
UNCASED = ("ar", "bn", "fa", "gu", "he", "hi", "ja", "ko", "lo", "ml", "my", "ne", "ta", "te", "th", "ur", "zh")
UNCASED_OFF = (
    "curate-junk.max_upper_letters", "curate-junk.max_mixed_tokens", "curate-junk.max_noisy_tokens",
    "curate-junk.max_lower_starts", "curate-junk.max_placeholder_words",
)  # fmt: skip
# Thresholds whose numbers are lengths of words: with one code point a word they say nothing.
LENGTHS = ("gopher-quality.min_word_length", "gopher-quality.max_word_length")


def published(config: dict[str, Any]) -> dict[str, float]:
    """One config of FineWeb-2 under our names."""
    values = {
        "gopher-repetition.max_duplicate_lines": config["dup_line_frac"],
        **{f"gopher-repetition.max_top_{n}_gram": value for n, value in config["top_n_grams"]},
        **{f"gopher-repetition.max_duplicate_{n}_gram": value for n, value in config["dup_n_grams"]},
        "gopher-quality.min_word_length": config["min_avg_word_length"],
        "gopher-quality.max_word_length": config["max_avg_word_length"],
        "gopher-quality.min_alphabetic_words": config["max_non_alpha_words_ratio"],
    }
    for preset in ("fineweb-paper", "fineweb-code"):
        values[f"{preset}.min_punctuated_lines"] = max(0, config["line_punct_thr"])  # -1 is off, as 0 is
        values[f"{preset}.max_newlines_per_word"] = config["new_line_ratio"]
    return values


def measured(texts: list[str], keys: list[str]) -> dict[str, float]:
    """The value of each threshold that removes CLEAN_REMOVED of the texts, rounded to the lax side."""
    stats = measure(pa.array(texts, pa.large_string()))
    rules = RuleSet.resolve(sorted({key.partition(".")[0] for key in keys}))
    found = {}
    long_enough = np.asarray(stats.field("non_symbol_words")) >= 50
    for threshold in rules.thresholds:
        if threshold.key in keys:
            values = rules.values({"stats": stats}, threshold)[long_enough]
            below = threshold.remove_if is RemoveIf.BELOW
            if len(values) < LEAST_DOCUMENTS:
                found[threshold.key] = OFF[threshold.remove_if]
                continue
            quantile = float(np.nanquantile(values, CLEAN_REMOVED if below else 1 - CLEAN_REMOVED))
            found[threshold.key] = (math.floor if below else math.ceil)(quantile * 1000) / 1000
    return found


def laxer(key: str, values: list[float]) -> float:
    return min(values) if ".min_" in key else max(values)


def overrides(code: str, configs: Path, clean: list[str]) -> dict[str, float]:
    theirs = [published(yaml.safe_load((configs / f"{name}.yml").read_text("utf-8"))) for name in CONFIGS[code]]
    values = {key: laxer(key, [one[key] for one in theirs]) for key in theirs[0]}
    if code in UNSPACED:
        for key in LENGTHS:
            del values[key]
        ours = measured(clean, list(values))
        values = {key: laxer(key, [value, ours[key]]) for key, value in values.items()}
        values["gopher-quality.min_word_length"] = 0
    return values


def clean_texts(folder: Path) -> dict[str, list[str]]:
    texts = defaultdict(list)
    for path in sorted(folder.glob("multilingual*.jsonl.zst")):
        with open(path, "rb") as file:
            for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), "utf-8"):
                record = json.loads(line)
                if record["lang"] in UNSPACED:
                    texts[record["lang"]].append(record["text"])
    return texts


def main(configs: Path, folder: Path) -> None:
    clean = clean_texts(folder)
    lines = [
        "# Thresholds by language (codes of lid.176): values of the presets that other languages than English need.",
        f"# Source: huggingface/fineweb-2, configs/*.yml, commit {COMMIT} (Apache-2.0); for ja, lo, my, th, zh the",
        "# laxer of theirs and what removes 1 % of clean text in our words.  Written by make_languages.py; see",
        "# docs/rules-languages.md.",
        "",
        "alike:  # for every language below",
        *(f"  {key}: {value}" for key, value in ALIKE.items()),
        "",
        "languages:",
    ]
    for code in sorted(CONFIGS):
        lines.append(f'  "{code}":')  # quoted: YAML reads a bare `no` as false
        lines += [f"    {key}: {value:g}" for key, value in overrides(code, configs, clean[code]).items()]
        lines += [f"    {key}: 1" for key in UNCASED_OFF if code in UNCASED]
    (DATA / "languages.yaml").write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
