"""One layer of the model, piece by piece: norm, RoPE, lightning and softmax attention, dense feed-forward, block."""
