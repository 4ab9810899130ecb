"""Experiments: one task a package, one command, one results folder. `python -m experiments --help` lists them."""

import os

# Torch's threads spin while they wait, and where others want the cores too a step then takes several times as long.
# OpenMP reads this once, when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
