"""What is wrong with a tokenizer, in sentences: the first thing on the page.

Every sentence follows from one figure of the evaluation and a limit that stands here.
"""

from __future__ import annotations

from tokenizer.evaluation.model import Evaluation, Group

WORSE = 1.05  # a language counts as worse where even the low end of the interval needs 5 % more tokens
MOST_REGRET = 1.10  # the acceptance limit of the automatic weights
MOST_UNDER_TRAINED = 0.02  # of the vocabulary
MOST_PARTIAL = 0.02  # of the vocabulary; o200k has 0.7 %
FEW_UNITS = 10  # a percentile bootstrap of fewer documents says little
MOST_PARITY = 3.0
NAMED = 8


def findings(made: Evaluation) -> list[str]:
    """Worst first; empty where nothing is wrong."""
    name = made.subjects[0]
    audit = made.audits[name]
    trip, total = audit.round_trip, made.group().scores[name]
    found = []
    if total.lossy_documents:
        found.append(f"{total.lossy_documents:,} documents do not come back byte for byte from their tokens.")
    broken = trip.text_failures + trip.special_failures + (trip.byte_failures or 0)
    if broken:
        found.append(f"{broken:,} of the random round trips fail (texts, names of special tokens, bytes).")
    if trip.missing_bytes:
        found.append(f"{trip.missing_bytes} of the 256 bytes have no token: texts that hold them are lost.")
    if len(made.subjects) > 1:
        other = made.subjects[1]
        worse = [
            (ratio.value, group.language or "")
            for group in languages(made)
            if (ratio := group.scores[name].normalized_length.get(other)) and (ratio.low or 0) > WORSE
            if group.units >= FEW_UNITS
        ]
        if worse:
            found.append(f"At least 5 % more tokens than {other}, at 95 % confidence, in {_listed(worse)}.")
    regret = [
        (score.regret.value, group.language or "")
        for group in languages(made)
        if (score := group.scores[name]).regret and score.regret.value > MOST_REGRET
    ]
    if regret:
        found.append(f"Over 10 % more tokens than a vocabulary of the language alone in {_listed(regret)}.")
    if made.parity:
        dear = [
            (one.parity[name].value, one.language)
            for one in made.parity.languages
            if one.parity[name].value > MOST_PARITY
        ]
        if dear:
            named = ", ".join(f"{language} ×{value:.1f}" for value, language in sorted(dear, reverse=True)[:NAMED])
            found.append(f"The same content costs over three times as many tokens as in {made.parity.pivot}: {named}.")
    if audit.unreachable.count:
        found.append(f"{audit.unreachable.count:,} tokens can never occur: their rows are never trained.")
    weak = audit.under_trained
    if weak and weak.count > MOST_UNDER_TRAINED * audit.vocab_size:
        found.append(
            f"{weak.count:,} tokens ({weak.count / audit.vocab_size:.1%}) occur fewer than {weak.threshold} times in "
            f"the training text, {weak.never:,} of them never: take a smaller vocabulary or more text."
        )
    if audit.partial_characters > MOST_PARTIAL * audit.vocab_size:
        found.append(
            f"{audit.partial_characters:,} tokens ({audit.partial_characters / audit.vocab_size:.1%}) hold parts of "
            "characters: a model can produce text that is not valid."
        )
    few = [group.language or "" for group in languages(made) if group.units < FEW_UNITS]
    if few:
        found.append(
            f"Too few documents to judge {', '.join(few[:NAMED])}{_more(few)}: fewer than {FEW_UNITS} held out."
        )
    return found


def languages(made: Evaluation) -> list[Group]:
    """The groups of one language over all domains."""
    return [group for group in made.groups if group.language is not None and group.domain is None]


def _listed(found: list[tuple[float, str]]) -> str:
    named = [f"{language} +{value - 1:.0%}" for value, language in sorted(found, reverse=True)]
    return ", ".join(named[:NAMED]) + _more(named)


def _more(found: list[str]) -> str:
    return f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
