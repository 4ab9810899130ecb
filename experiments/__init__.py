"""Experiments: one task a package, one command, one results folder. `python -m experiments --help` lists them.

They run from a checkout: no wheel has them.
"""
