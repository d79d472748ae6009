"""Tier-0 student: convex heads on hashed n-grams and style, calibrated, with conformal intervals.

`model` says what a tagger is and predicts, `files` reads and writes it, `fit` trains one from
labels, `evaluate` measures one beside baselines, `action` is what the commands call.
"""
