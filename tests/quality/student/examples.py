"""Made-up labelled texts: the deeper the level, the more of its words; each category has words of its own."""

import numpy as np

from quality.student.training_set import TrainingSet, make_training_set

CATEGORIES = ("cooking", "physics", "law", "never_seen")
WORDS = {
    "cooking": "butter flour oven pan sugar onion",
    "physics": "energy mass field quantum wave particle",
    "law": "court statute clause plaintiff ruling judge",
}
DEEP = "because therefore derivation evidence mechanism consequence"
SHALLOW = "buy now click here welcome offer"


def labelled_rows(n: int = 120, seed: int = 0) -> tuple[list[str], list[str], np.ndarray, list[str]]:
    """ids, texts, levels 0–5, categories (three of the four)."""
    rng = np.random.default_rng(seed)
    ids, texts, levels, categories = [], [], [], []
    for i in range(n):
        category = CATEGORIES[i % 3]
        level = int(rng.integers(0, 6))
        words = rng.choice(WORDS[category].split(), 30).tolist()
        words += rng.choice(DEEP.split(), 4 * level + 1).tolist() + rng.choice(SHALLOW.split(), 21 - 4 * level).tolist()
        rng.shuffle(words)
        ids.append(f"made-{i:04d}")
        texts.append(" ".join(words) + ".")
        levels.append(level)
        categories.append(category)
    return ids, texts, np.array(levels, dtype=np.float64), categories


def training_set(n: int = 120, seed: int = 0) -> TrainingSet:
    ids, texts, levels, categories = labelled_rows(n, seed)
    return make_training_set(
        ids, texts, {"knowledge_depth": levels, "practicality": 5 - levels}, names=CATEGORIES, category=categories,
        sources=[f"source-{i % 7}" for i in range(n)],
    )  # fmt: skip
