"""Rules: named thresholds over stored statistics (`thresholds`), grouped in published presets (`presets`)."""
