"""A vocabulary as files of other tools, and back."""
