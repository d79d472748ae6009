"""Training stages of a mix: weights that move, long-context stages, and what they need of each length.

`stages` says what a stage is (and hands it over to packing, in the words of `pack.stages`), `table6` makes the
long-context stages of MiniMax-01, `demand` computes what stages take of each source and length class, `feasible`
compares that with the documents: how many epochs would they have to be seen?
"""
