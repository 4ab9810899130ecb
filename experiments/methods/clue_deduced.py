"""A classifier of the clues of a Sudoku with the digits that follow from the labelled cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from experiments.methods.clue_digits import ClueDigits


@dataclass
class ClueDeduced(ClueDigits):
    """The rules say once, before the training, what the clues must be; those that they leave open are left out."""

    needs: ClassVar[tuple[str, ...]] = ("deduced",)
