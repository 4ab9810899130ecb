"""Rankings: learn to order the items of a list."""
