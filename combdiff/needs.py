"""What a method asks for, and what it gives: declared by each class, read by docs/methods.md and by errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

LEARNS_FROM = {
    "task loss": "a loss of its answer",
    "solution": "true solutions, such as those that a solver finds for true costs",
    "costs": "true costs",
    "labels": "labels",
}


@dataclass(frozen=True)
class Needs:
    """What a layer or a loss asks of the data and of the solver, and what its gradient is worth: the attribute `needs`.

    The texts are the cells of docs/methods.md; a class of the library has to fill `bias`, `scale` and `use`.

    Attributes:
        target: what it learns from: a loss on solutions ("task loss"), the true solution, the true costs, or labels (of
            the soft losses, which have no solver).
        forward, backward: solves a row, as a formula; "0" for none.
        negative: whether it asks for solutions of negative costs, though those of θ are positive.
        no_potential: why it has no potential, and so no Fenchel–Young loss; "" where it has one, or is a loss.
        solver: what it wants of the solver or of its solutions beyond a solve; "" for nothing.
        bias: what its gradient is that of, and how far from it.
        scale: what sets the size of θ in training.
        gradient_degree: k where the gradient at aθ is aᵏ that at θ for every a > 0, by the same temperature, targets,
            noise and incoming gradient; None where no k does it, or there is no gradient.
        use: when to use it.

    >>> import combdiff
    >>> combdiff.Interpolation.needs.backward, combdiff.SpearmanLoss.needs.target
    ('1', 'labels')
    """

    target: Literal["task loss", "solution", "costs", "labels"] = "task loss"
    forward: str = "1"
    backward: str = "0"
    negative: bool = False
    no_potential: str = ""
    solver: str = ""
    bias: str = ""
    scale: str = ""
    gradient_degree: int | None = None
    use: str = ""


def missing(name: str, loss: Any) -> TypeError:
    """What a loss raises that was not given a target: which one, and what it learns from."""
    return TypeError(
        f"{name} is None, and {type(loss).__name__} needs it: it learns from {LEARNS_FROM[loss.needs.target]}"
    )
