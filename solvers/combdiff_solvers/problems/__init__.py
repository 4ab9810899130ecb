"""Classic problems, each with its own batch solver."""
