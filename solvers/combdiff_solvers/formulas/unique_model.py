"""Does a formula have just one model under some assumptions?"""

from __future__ import annotations

from collections.abc import Sequence

from pysat.solvers import Solver

REBUILD = 500  # checks after which the oracle starts anew, so that its memory stays flat


class UniqueModel:
    """A warm SAT oracle that answers where the answer cannot depend on what it has learned.

    An assumption set with one model is optimal whatever the prices, and one without a model is infeasible; both are
    facts of the formula. For several models it keeps silent.

    Args:
        hard: clauses.
        at_most: native cardinality constraints.
        variables: of the clauses, auxiliary ones included.
        shown: how many of them count for the model, the first ones.
    """

    def __init__(
        self, hard: Sequence[Sequence[int]], at_most: Sequence[tuple[list[int], int]], variables: int, shown: int
    ) -> None:
        self._hard, self._at_most = hard, at_most
        self._variables, self._shown = variables, shown
        self._consistent = all(hard)
        self._start()

    def _start(self) -> None:
        self._oracle = Solver(name="gc3" if self._at_most else "g3", bootstrap_with=self._hard)
        for literals, bound in self._at_most:
            self._oracle.add_atmost(literals, bound)
        self._next = self._variables + 1

    def find(self, assumptions: list[int]) -> frozenset[int] | None:
        """The true variables of the only model; an empty set for no model; None for several.

        A model without any true variable is reported as None, too.
        """
        if not self._consistent:
            return frozenset()
        consistent, implied = self._oracle.propagate(assumptions)
        if not (consistent and self._oracle.solve_limited(assumptions=assumptions, expect_interrupt=True)):
            return frozenset()
        if sum(1 for literal in implied if abs(literal) <= self._shown) < self._shown:
            implied = self._oracle.get_model()
            if self._has_another(assumptions, implied):
                return None
        return frozenset(literal for literal in implied if 0 < literal <= self._shown) or None

    def _has_another(self, assumptions: list[int], model: list[int]) -> bool:
        if self._next - self._variables > REBUILD:
            self._start()
        switch = self._next
        self._next += 1
        known = set(assumptions)
        different = [-literal for literal in model if abs(literal) <= self._shown and literal not in known]
        self._oracle.add_clause([*different, -switch])
        another = self._oracle.solve_limited(assumptions=[*assumptions, switch], expect_interrupt=True)
        self._oracle.add_clause([-switch])
        return bool(another)
