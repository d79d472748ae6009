"""Where text is cut into words before any merge."""
