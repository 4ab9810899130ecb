"""A formula of clauses on RC2 or CP-SAT, row by row, by how many different prices the row has."""

from __future__ import annotations

from combdiff_solvers.formulas.formula_cp_sat import CpSatFormula
from combdiff_solvers.formulas.sat import SatModel
from combdiff_solvers.protocol import PerRow, Row, Rows, Sets, as_rows
from combdiff_solvers.rows import Answer

MOST_PRICES = 64  # rows with more different |prices| go to CP-SAT


class AutoFormula(SatModel):
    """`SatModel` for rows of at most 64 different |prices|, with those of soft clauses; `CpSatFormula` for others.

    RC2 searches from core to core, and a core can hold few soft literals of one price: with many different prices, or
    where any k + 1 of n literals are a core, it may need more of them than anyone waits for. Measured with normal θ on
    one core (RC2, CP-SAT): 10 of 100 literals over 3 s, 4 ms; an infeasible roster of 168 literals 7.8 s, 24 ms;
    assignments of 15 in clauses 680 ms, 73 ms; random 3-SAT of 50 variables 29 ms, 15 ms. With θ of few different
    integers RC2 is the faster one on clauses: assignments of 15 take 18 ms, 57 ms.

    What a row goes to depends on its θ and the formula alone. With `instances`, the rows that have only one model left
    need neither.

    >>> import numpy as np
    >>> from combdiff_solvers.formulas.formula import Formula
    >>> free = Formula(70, hard=((1, 2),))
    >>> solver = AutoFormula(free, list(range(1, 71)))
    >>> solver.chosen(np.stack([np.ones(70), np.arange(70.0)]))
    ['rc2', 'cp_sat']
    """

    backend = "auto"

    def _prepare(self) -> None:
        super()._prepare()
        self._other = CpSatFormula(self.formula, self.literals, self.shape, self.sense, self.limits)

    def value_checked(self, y: Rows, theta: Rows, instances: Sets) -> PerRow:
        """As `FormulaSolver.value`; completions are found by CP-SAT."""
        return self._other.value_checked(y, theta, instances)

    def __repr__(self) -> str:
        rule = f"'rc2' to {MOST_PRICES} different prices a row, 'cp_sat' above"
        return f"{super().__repr__()[:-1]}: {rule})"

    def chosen(self, theta: Rows) -> list[str]:
        """What solves each row of θ, (b, n): "rc2" or "cp_sat"."""
        return [self._choose(row) for row in as_rows(theta, self.shape)]

    def _choose(self, theta: Row) -> str:
        costs, _, _ = self._weights.of(self.sense.sign * theta)
        return "rc2" if len(set(map(abs, costs.values()))) <= MOST_PRICES else "cp_sat"

    def search(self, theta: Row, units: list[int], seconds: float | None) -> Answer:
        """Find the best of the models in which the units hold."""
        if self._choose(theta) == "rc2":
            return super().search(theta, units, seconds)
        return self._other.solve_row(theta, units, seconds)
