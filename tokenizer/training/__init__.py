"""Tables of words in, a vocabulary out."""
