"""Documents in, tables of words out."""
