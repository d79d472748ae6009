"""How good a tokenizer is, for which language, and what is wrong with it."""
