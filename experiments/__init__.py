"""Experiments and benchmarks, run from a checkout: `python -m experiments ...`."""
