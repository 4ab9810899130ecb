"""Weighted MaxSAT on one formula: RC2 with stratification, limits, and an incumbent.

Source: A. Ignatiev, A. Morgado, J. Marques-Silva (2019), "RC2: an efficient MaxSAT solver", in PySAT; stratification:
C. Ansótegui et al. (2013), "Improving WPM2 for (weighted) partial MaxSAT".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from combdiff_solvers.protocol import Status

try:
    from pysat.examples.rc2 import RC2Stratified
    from pysat.formula import WCNFPlus
except ImportError as error:
    raise ImportError(f"solving formulas needs PySAT: pip install 'combdiff[sat]' ({error})") from error

SLICE = 1_000_000
"""propagations between two looks at the clock (some 0.1 s); the search is the same whether there is a clock or not"""


class Found(NamedTuple):
    """How one search ended: the true variables of the best model, and a proven lower bound of its cost."""

    status: Status
    true: frozenset[int] = frozenset()
    upper: int = 0
    lower: int = 0


class _LimitError(Exception):
    """A limit struck."""


class _Search(RC2Stratified):
    """RC2 that keeps the best model it meets, and stops at a deadline or a gap.

    Every choice is a function of the formula and the costs alone. The oracle is new in each search, for its learned
    clauses and saved phases would make ties depend on what was solved before.
    """

    def __init__(
        self,
        formula: Any,
        solver: str,
        costs: Mapping[int, int],
        deadline: float | None,
        close: Callable[[int, int], bool] | None,
    ) -> None:
        self._costs, self._deadline, self._close = costs, deadline, close
        self._bounded = False
        self.best: tuple[int, frozenset[int]] | None = None
        super().__init__(formula, solver=solver, adapt=True, blo="div", exhaust=True, minz=True)
        self.oracle.set_phases([-variable if cost > 0 else variable for variable, cost in costs.items()])

    def _call_oracle(self, assumptions: Sequence[int] = (), expect_interrupt: bool = False) -> bool | None:
        answer: bool | None = None
        while answer is None:
            if self._deadline is not None and time.monotonic() > self._deadline:
                raise _LimitError
            self.oracle.prop_budget(SLICE)
            answer = self.oracle.solve_limited(assumptions=list(assumptions), expect_interrupt=True)  # without the GIL
            if self._bounded:
                break
        if answer and (self._deadline is not None or self._close is not None):
            self._keep(self.oracle.get_model())
        return answer

    def minimize_core(self) -> None:
        self._bounded = True  # these calls have a budget of conflicts, and no answer is an answer
        super().minimize_core()
        self._bounded = False

    def process_core(self) -> None:
        super().process_core()
        if self._close is not None and self.best is not None and self._close(self.cost, self.best[0]):
            raise _LimitError

    def _keep(self, model: Iterable[int]) -> None:
        true = frozenset(literal for literal in model if literal > 0)
        cost = sum(abs(cost) for variable, cost in self._costs.items() if (variable in true) == (cost > 0))
        if self.best is None or cost < self.best[0]:
            self.best = cost, true

    def run(self) -> Found:
        """Search to the proof or to a limit."""
        try:
            if not self._call_oracle():
                return Found(Status.INFEASIBLE)
            model = self.compute()
        except _LimitError:
            if self.best is None:
                return Found(Status.LIMIT)
            return Found(Status.FEASIBLE, self.best[1], self.best[0], self.cost)
        true = frozenset(literal for literal in model if literal > 0)
        return Found(Status.OPTIMAL, true, self.cost, self.cost)


def minimise(
    hard: Sequence[Sequence[int]],
    at_most: Sequence[tuple[Sequence[int], int]],
    variables: int,
    costs: Mapping[int, int],
    deadline: float | None = None,
    close: Callable[[int, int], bool] | None = None,
) -> Found:
    """Find a model with the least Σ costs over its true variables.

    Args:
        hard: clauses.
        at_most: (literals, bound) constraints, handled natively.
        variables: their number.
        costs: of single variables, exact integers of any size and sign; no zeros.
        deadline: on the clock of `time.monotonic`.
        close: whether (lower, upper) bounds are near enough to stop; both count from Σ min(cost, 0).
    """
    if not all(hard):
        return Found(Status.INFEASIBLE)
    formula = WCNFPlus()
    formula.nv = variables
    formula.hard = hard
    formula.atms = list(at_most)
    formula.soft = [[-variable if cost > 0 else variable] for variable, cost in costs.items()]
    formula.wght = [abs(cost) for cost in costs.values()]
    search = _Search(formula, "gc3" if at_most else "g3", costs, deadline, close)
    try:
        return search.run()
    finally:
        search.delete()
