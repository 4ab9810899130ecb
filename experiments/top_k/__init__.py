"""Top-k classification under label noise."""
