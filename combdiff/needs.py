"""What a method asks for: declared by each class, read by tables and errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Needs:
    """What a layer or a loss asks of the data and of the solver: the attribute `needs` of each.

    Attributes:
        target: what it learns from: a loss on solutions ("task loss"), the true solution, the true costs, or labels (of
            the soft losses, which have no solver).
        forward, backward: solves a row, as a formula; "0" for none.
        negative: whether it asks for solutions of negative costs, though those of θ are positive.
        no_potential: why it has no potential, and so no Fenchel–Young loss; "" where it has one, or is a loss.

    >>> import combdiff
    >>> combdiff.Interpolation.needs.backward, combdiff.SpearmanLoss.needs.target
    ('1', 'labels')
    """

    target: Literal["task loss", "solution", "costs", "labels"] = "task loss"
    forward: str = "1"
    backward: str = "0"
    negative: bool = False
    no_potential: str = ""
