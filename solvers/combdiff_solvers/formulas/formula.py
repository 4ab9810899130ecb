"""Propositional formulas: clauses, pseudo-Boolean constraints, and soft clauses with their prices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy import ndarray

MAX_VARIABLES = 10_000_000  # more variables than this are taken for a mistake (a broken or hostile file)


class AtMost(NamedTuple):
    """Σ weightᵢ · [literalᵢ is true] ≤ bound, all weights above zero."""

    literals: tuple[int, ...]
    bound: int
    weights: tuple[int, ...]

    @property
    def is_cardinality(self) -> bool:
        """Whether every weight is 1."""
        return all(weight == 1 for weight in self.weights)

    @classmethod
    def of(cls, terms: Iterable[tuple[int, int]], bound: int) -> AtMost:
        """From (weight, literal) terms, where weights may be negative and literals may come twice.

        >>> AtMost.of([(2, 1), (-3, 2), (1, 1)], 0)
        AtMost(literals=(1, -2), bound=1, weights=(1, 1))
        """
        net: dict[int, int] = {}  # of each variable, as a weight of its positive literal
        for weight, literal in terms:
            if literal < 0:
                bound -= weight
                weight = -weight
            net[abs(literal)] = net.get(abs(literal), 0) + weight
        literals, weights = [], []
        for variable, weight in net.items():
            if weight < 0:
                bound -= weight
            if weight:
                literals.append(variable if weight > 0 else -variable)
                weights.append(abs(weight))
        common = int(np.gcd.reduce(weights)) if weights and max(weights) < 2**62 else 1
        return cls(tuple(literals), bound // common, tuple(weight // common for weight in weights))


class Soft(NamedTuple):
    """A clause that costs `weight` where it is false (for a negative weight: that earns it)."""

    clause: tuple[int, ...]
    weight: Fraction


@dataclass(frozen=True)
class Formula:
    """A propositional formula over the variables 1..`variables`; a negative literal is a variable's negation.

    Args:
        variables: their number.
        hard: clauses, each a tuple of literals; the empty clause is false.
        at_most: pseudo-Boolean constraints.
        soft: clauses that may be false, at a price.

    Raises:
        ValueError: for no variables at all or too many, or a literal out of range.

    >>> Formula(2, hard=((1, 2),), at_most=(AtMost((1, 2), 1, (1, 1)),)).satisfied(np.array([[1, 1], [0, 1]]))
    array([False,  True])
    """

    variables: int
    hard: tuple[tuple[int, ...], ...] = ()
    at_most: tuple[AtMost, ...] = ()
    soft: tuple[Soft, ...] = ()

    def __post_init__(self) -> None:
        if self.variables < 1:
            raise ValueError("the formula is empty: it has no variables")
        if self.variables > MAX_VARIABLES:
            raise ValueError(f"the formula has {self.variables} variables, and more than {MAX_VARIABLES} are refused")
        clauses = (*self.hard, *(one.literals for one in self.at_most), *(one.clause for one in self.soft))
        for clause in clauses:
            for literal in clause:
                if not 1 <= abs(literal) <= self.variables:
                    raise ValueError(f"literal {literal} in {list(clause)}: variables are 1..{self.variables}")

    def satisfied(self, assignments: ndarray) -> ndarray:
        """Which of the assignments, (b, variables) of 0 and 1, satisfy all but the soft clauses; shape (b,)."""
        truth = np.asarray(assignments) > 0.5
        good = np.ones(len(truth), dtype=bool)
        for clause in self.hard:
            good &= holds(clause, truth)
        for one in self.at_most:
            total = np.zeros(len(truth), dtype=object)
            for weight, literal in zip(one.weights, one.literals, strict=True):
                total += weight * holds((literal,), truth)
            good &= np.array(total <= one.bound, dtype=bool)
        return good


def holds(clause: Sequence[int], truth: ndarray) -> ndarray:
    """Whether a clause holds under assignments (b, variables) of booleans; shape (b,)."""
    literals = np.array(clause, dtype=np.int64)
    return np.asarray((truth[:, np.abs(literals) - 1] == (literals > 0)).any(axis=1))
