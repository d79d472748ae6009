"""From a plan to documents: which occurrences are taken, where each copy stands, and what an ablation keeps.

Every occurrence of a document has an entry key, each cell is cut at a prefix of that order, and the cells are
merged fairly: a sample is exact to half a document, nested in the budget, and blind to the order of rows,
shards and workers.
"""
