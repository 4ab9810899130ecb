"""CPMpy models as formulas, by CPMpy's own rewriting for MaxSAT."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from cpmpy import Model
from cpmpy.expressions.core import BoolVal, Comparison
from cpmpy.expressions.variables import _BoolVarImpl
from cpmpy.solvers.rc2 import CPM_rc2
from jaxtyping import Int64
from numpy import ndarray

from combdiff_solvers.formulas.formula import AtMost, Formula, Soft


class _Recorder(CPM_rc2):
    """CPMpy's interface to RC2 up to where it would encode sums as clauses: pseudo-Boolean constraints stay."""

    def __init__(self, model: Model) -> None:
        self.hard: list[tuple[int, ...]] = []
        self.at_most: list[AtMost] = []
        self.soft: list[Soft] = []
        super().__init__(model)

    def objective(self, expression: Any, minimize: bool) -> None:
        """Soft clauses for "min" are paid where they are false, for "max" where they hold."""
        self.objective_ = expression
        weights, literals, constant = self.transform_objective(-expression if minimize else expression)
        owed = -constant - sum(weights) if minimize else constant
        self.soft = [
            Soft((literal,), Fraction(weight))
            for literal, weight in zip(self.solver_vars(literals), weights, strict=True)
        ]
        if owed:
            always = self.pysat_vpool.id("the objective's constant")
            self.hard.append((always,))
            self.soft.append(Soft((-always,) if minimize else (always,), Fraction(owed)))

    def _post_constraint(self, expression: Any) -> None:
        if isinstance(expression, BoolVal):
            if not expression.args[0]:
                self.hard.append(())
        elif isinstance(expression, _BoolVarImpl):
            self.hard.append((self.solver_var(expression),))
        elif expression.name == "or":
            self.hard.append(tuple(self.solver_vars(expression.args)))
        elif isinstance(expression, Comparison):
            self._post_sum(expression, None)
        elif expression.name == "->":
            condition, implied = expression.args
            if isinstance(implied, Comparison):
                self._post_sum(implied, self.solver_var(condition))
            else:
                literals = [implied] if isinstance(implied, _BoolVarImpl) else implied.args
                self.hard.append((-self.solver_var(condition), *self.solver_vars(literals)))
        else:
            raise ValueError(f"CPMpy makes no clauses of the constraint {expression}: use backend='cp_sat'")

    def _post_sum(self, comparison: Comparison, condition: int | None) -> None:
        """Σ weight · [literal] ≤, ≥ or = bound, where the condition holds."""
        total, bound = comparison.args
        weights, ones = (([1] * len(total.args)), total.args) if total.name == "sum" else total.args
        terms = list(zip((int(weight) for weight in weights), self.solver_vars(ones), strict=True))
        sides = {"<=": (1,), ">=": (-1,), "==": (1, -1)}[comparison.name]
        for sign in sides:
            signed, most = [(sign * weight, literal) for weight, literal in terms], sign * int(bound)
            slack = sum(weight for weight, _ in signed if weight > 0) - most
            if condition is not None and slack > 0:  # + slack where the condition holds, and most + slack is no bound
                signed, most = [*signed, (slack, condition)], most + slack
            self.at_most.append(AtMost.of(signed, most))


def formula_of(model: Model, priced: Sequence[Any]) -> tuple[Formula, Int64[ndarray, " n"]]:
    """The formula of a CPMpy model, and the numbers in it of some of its Booleans.

    >>> import cpmpy as cp
    >>> x = cp.boolvar(shape=3, name="x")
    >>> found, numbers = formula_of(cp.Model(x[0] | x[1], x[2].implies(cp.sum(x) <= 2)), list(x))
    >>> numbers, found.hard, found.at_most
    (array([1, 2, 3]), ((1, 2),), (AtMost(literals=(1, 2, 3), bound=3, weights=(1, 1, 2)),))
    """
    recorder = _Recorder(model)
    numbers = np.array([recorder.solver_var(one) for one in priced], dtype=np.int64)
    return (
        Formula(recorder.pysat_vpool.top, tuple(recorder.hard), tuple(recorder.at_most), tuple(recorder.soft)),
        numbers,
    )
