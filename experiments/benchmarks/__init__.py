"""Speed, as ratios against a named peer in one run: `python -m experiments.benchmarks.NAME`."""
