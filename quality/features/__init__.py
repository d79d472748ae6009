"""A text as numbers, in one pass over its Arrow buffer: hashed words, pairs of words and character 4-grams, and
counts of style and structure; and the kernel that scores all heads of a model in the same pass."""
