"""Formulas to learn weights for: a generated configuration problem, and those of files; their assignments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations, islice, pairwise
from pathlib import Path
from typing import Self

import numpy as np
from jaxtyping import Bool, Int64
from numpy import ndarray
from pysat.solvers import Solver as Oracle

from combdiff.solvers import SatInstances
from combdiff_solvers.formulas.formula import Formula, Soft, holds
from combdiff_solvers.formulas.formula_files import read_formula
from combdiff_solvers.protocol import BatchSolver, Rows, Sense, Sets, Solutions, Status
from experiments.harness.errors import InputError

GROUPS, EXTRAS, RULES = (3, 3, 4, 2), 8, 12
"""a product has one option of each group and any of the extras, but for so many rules"""
DRAWS = 400
"""assignments that are drawn of a formula"""
MOST = 20_000
"""assignments of a table"""
LEAST = 100
"""different ones among them, as far as soft clauses can tell"""


@dataclass(frozen=True)
class Wishes:
    """A formula whose soft clauses have weights to be learned.

    Attributes:
        name: of the file, or what it is.
        formula: hard clauses, and soft ones of weight 1.
        models: (k, variables), different assignments of the hard clauses.
        truth: (k, soft clauses), which soft clauses hold under each.
    """

    name: str
    formula: Formula
    models: Bool[ndarray, "k variables"]
    truth: Bool[ndarray, "k soft"]

    @classmethod
    def of(cls, name: str, formula: Formula, soft: int, rng: np.random.Generator) -> Wishes:
        """With soft clauses that are drawn, where the formula has none of its own.

        Raises:
            InputError: for a formula with other constraints than clauses.
        """
        if formula.at_most:
            raise InputError(f"{name} has cardinality or pseudo-Boolean constraints: give clauses (.cnf, .wcnf)")
        own = tuple(one._replace(weight=Fraction(1)) for one in formula.soft)
        wanted = replace(formula, soft=own or draw_soft(formula.variables, soft, rng))
        models = draw_models(formula, DRAWS, rng)
        return cls(name, wanted, models, np.stack([holds(one.clause, models) for one in wanted.soft], axis=1))

    def checked(self) -> Self:
        """Itself.

        Raises:
            InputError: for a formula without a model, or with one alone.
        """
        if len(self.models) < 2:
            number = "a single model" if len(self.models) else "no model"
            raise InputError(f"{self.name} has {number}: there is nothing to learn")
        return self

    def different(self) -> int:
        """How many of the assignments differ in a soft clause."""
        return len(np.unique(self.truth, axis=0))


def configuration(rng: np.random.Generator) -> Formula:
    """A product: one option of each group, any of the extras, and rules: i excludes j, or requires j or k.

    >>> configuration(np.random.default_rng(0)).variables
    20
    """
    first = np.cumsum((1, *GROUPS)).tolist()
    groups = [range(one, end) for one, end in pairwise(first)]
    hard: list[tuple[int, ...]] = [clause for group in groups for clause in (tuple(group), *_no_two(group))]
    for _ in range(RULES):
        i, j, k = (1 + rng.choice(sum(GROUPS) + EXTRAS, 3, replace=False)).tolist()
        hard.append((-i, -j) if rng.random() < 0.5 else (-i, j, k))
    return Formula(sum(GROUPS) + EXTRAS, tuple(hard))


def _no_two(group: range) -> list[tuple[int, ...]]:
    return [(-i, -j) for i, j in combinations(group, 2)]


def draw_soft(variables: int, count: int, rng: np.random.Generator) -> tuple[Soft, ...]:
    """Clauses of one and of two literals in turns.

    >>> [len(one.clause) for one in draw_soft(5, 4, np.random.default_rng(0))]
    [1, 2, 1, 2]
    """
    sizes = [min(1 + number % 2, variables) for number in range(count)]
    clauses = [(1 + rng.choice(variables, size, replace=False)) * rng.choice([-1, 1], size) for size in sizes]
    return tuple(Soft(tuple(clause.tolist()), Fraction(1)) for clause in clauses)


def draw_models(formula: Formula, draws: int, rng: np.random.Generator) -> Bool[ndarray, "k variables"]:
    """Different assignments that satisfy the hard clauses: each the first one in a random lexicographic order.

    Two at least, where there are two.
    """
    found: dict[tuple[int, ...], None] = {}
    with Oracle(name="g3", bootstrap_with=formula.hard) as oracle:
        for _ in range(draws if all(formula.hard) and oracle.solve() else 0):
            order = (1 + rng.permutation(formula.variables)) * rng.choice([-1, 1], formula.variables)
            found[_first(oracle, order)] = None
        if len(found) == 1:
            oracle.add_clause([-literal for literal in next(iter(found))])
            if oracle.solve():
                found[_first(oracle, np.arange(1, formula.variables + 1))] = None
    return np.array(list(found)).reshape(-1, formula.variables) > 0


def _first(oracle: Oracle, order: Int64[ndarray, " variables"]) -> tuple[int, ...]:
    """The model in which the first literal holds if it can, then the second one, and so on; by its variables."""
    held: list[int] = []
    model: set[int] = set()
    for literal in order.tolist():
        if literal not in model and oracle.solve(assumptions=[*held, literal]):
            model = set(oracle.get_model())
        held.append(literal if literal in model else -literal)
    return tuple(sorted(held, key=abs))


def read_wishes(path: Path, soft: int, split: int) -> Wishes:
    """The formula of a file; or that of a folder whose number among those with enough assignments is `split`.

    Raises:
        InputError: for files that cannot be used.
    """
    if not path.is_dir():
        return Wishes.of(path.name, _read(path), soft, np.random.default_rng(split)).checked()
    for number, found in enumerate(_usable(path, soft)):
        if number == split:
            return found
    raise InputError(f"{path}: fewer than {split + 1} of its *.cnf files have {LEAST} different assignments")


def _usable(folder: Path, soft: int) -> Iterator[Wishes]:
    for path in sorted(folder.glob("*.cnf")):
        found = Wishes.of(path.name, _read(path), soft, np.random.default_rng(0))
        if found.different() >= LEAST:
            yield found


def _read(path: Path) -> Formula:
    try:
        return read_formula(path)[0]
    except (OSError, ValueError) as error:
        raise InputError(str(error)) from error


class Table(BatchSolver):
    """The best of all assignments, which are counted up once: what a solver of the formula finds, sooner.

    Raises:
        InputError: for a formula with more than `MOST` assignments.
    """

    sense, takes_instances = Sense.MAX, True

    def __init__(self, wishes: Wishes) -> None:
        formula = wishes.formula
        with Oracle(
            name="g3", bootstrap_with=[*formula.hard, *((v, -v) for v in range(1, formula.variables + 1))]
        ) as oracle:
            models = np.array(list(islice(oracle.enum_models(), MOST + 1)))[:, : formula.variables] > 0
        if len(models) > MOST:
            raise InputError(f"{wishes.name} has more than {MOST} assignments: take --solver auto")
        truth = np.stack([holds(one.clause, models) for one in formula.soft], axis=1)
        self.shape = (truth.shape[1],)
        self._true, self._truth = np.ascontiguousarray(models.T), truth.astype(np.float64)

    def solve_checked(self, theta: Rows, instances: Sets) -> Solutions:
        y, status = np.zeros_like(theta), np.zeros(len(theta), dtype=np.uint8)
        for row, weights in enumerate(theta):
            fits = np.ones(len(self._truth), dtype=bool)
            if isinstance(instances, SatInstances) and instances.literals is not None:
                for literal in filter(None, instances.literals[row].tolist()):
                    fits &= self._true[literal - 1] if literal > 0 else ~self._true[-literal - 1]
            truth = self._truth[np.flatnonzero(fits)]
            if len(truth):
                y[row] = truth[np.einsum("ms,s->m", truth, weights).argmax()]
            else:
                status[row] = Status.INFEASIBLE
        return Solutions.from_y(y, theta, self.sense, status)
