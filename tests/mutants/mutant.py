"""What a mutant is: one text of one file, which occurs once, what takes its place, and the tests that have to fail."""

from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Mutant(NamedTuple):
    """A change that has to be noticed."""

    file: str
    old: str
    new: str
    tests: str  # arguments of pytest


def of(file: str, tests: str, *changes: tuple[str, str]) -> list[Mutant]:
    """Mutants of one file, that the same tests see."""
    return [Mutant(file, old, new, tests) for old, new in changes]
