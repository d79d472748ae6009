"""The statistical core: arrays in, numbers out; numpy and scipy only.  Formulas, calibration: docs/ab-statistics.md."""
