"""Mixed-integer programs whose constraints differ from row to row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np

from combdiff_solvers.chunks import concatenate, failed, solve_safely
from combdiff_solvers.instances import instance_key
from combdiff_solvers.limits import LimitOptions
from combdiff_solvers.models.mixed_integer import MixedInteger
from combdiff_solvers.protocol import BatchSolver, Rows, Sense, Sets, Solutions


class MixedIntegerPrograms(BatchSolver):
    """min (or max) ⟨θ, y⟩ over A y ≤ b, lower ≤ y ≤ upper, some y integer, with an A and b for each row.

    An instance is a mapping of A, (m, n), and b, (m), and of lower and upper, (n), where they differ from row to row,
    too. Rows with the same share one model, a `MixedInteger`, which is built anew in each call. A row whose model
    cannot be built is an ERROR. Without instances the box alone is feasible.

    Args:
        n: variables.
        bounds: (lower, upper), each a number or one for each variable, of rows without their own.
        integrality: 1 for an integer variable and 0 for a continuous one; a number or one for each.
        sense: "min" or "max".
        backend: that of `MixedInteger`; None for SCIP.
        limits: `time_limit`, `relative_gap`, ...: see `Limits`.

    Attributes:
        bounds: (lower, upper), one of each for every variable.
        integrality: one for every variable.

    Raises:
        ValueError: for bounds that do not fit, or an unknown back end.
        ImportError: when OR-Tools is not installed.

    >>> programs = MixedIntegerPrograms(2, bounds=(0, 3), sense="max")
    >>> sets = {"A": np.array([[[1.0, 1.0]], [[2.0, 1.0]]]), "b": np.array([[2.5], [4.5]])}
    >>> programs.solve(np.array([[2.0, 1.0], [1.0, 1.0]]), sets).y
    array([[2., 0.],
           [0., 3.]])
    """

    takes_instances = True

    def __init__(
        self,
        n: int,
        bounds: tuple[Any, Any] = (0, 1),
        integrality: Any = 1,
        sense: Sense | str = Sense.MIN,
        backend: str | None = None,
        **limits: Unpack[LimitOptions],
    ) -> None:
        self.shape, self.sense, self.backend, self._options = (n,), Sense(sense), backend, limits
        self.integrality = np.broadcast_to(np.asarray(integrality, dtype=np.float64), (n,)).copy()
        self.bounds = tuple(np.broadcast_to(np.asarray(end, dtype=np.float64), (n,)).copy() for end in bounds)
        self._box = self._program({"A": np.zeros((1, n)), "b": np.zeros(1)})

    def _program(self, instance: Mapping[str, Any]) -> MixedInteger:
        bounds = tuple(instance.get(name, own) for name, own in zip(("lower", "upper"), self.bounds, strict=True))
        given: Any = {"integrality": self.integrality, "sense": self.sense, "backend": self.backend, **self._options}
        return MixedInteger(instance["A"], instance["b"], bounds=bounds, **given)

    def solve_checked(self, theta: Rows, instances: Sets) -> Solutions:
        if instances is None:
            return self._box.solve_checked(theta, None)
        groups: dict[Any, list[int]] = {}
        for row in range(len(theta)):
            groups.setdefault(instance_key(instances[row]), []).append(row)
        pieces: list[tuple[int | list[int], Solutions]] = []
        for rows in groups.values():
            try:
                found, _ = solve_safely(self._program(instances[rows[0]]), theta[rows], None)
            except Exception as error:
                found = failed(len(rows), theta.shape[1], error, self.sense)
            pieces.append((rows, found))
        return concatenate(pieces, *theta.shape)
