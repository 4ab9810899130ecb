"""Mutants: signs and scale factors, each of which turns a test red when it is changed.

    python -m tests.mutants                  # all: make mutants
    python -m tests.mutants identity noise   # those of files with such a name

A new estimator or loss adds its own.
"""

from tests.mutants.layers import MUTANTS as LAYERS
from tests.mutants.losses import MUTANTS as LOSSES
from tests.mutants.models import MUTANTS as MODELS

MUTANTS = [*LAYERS, *LOSSES, *MODELS]
