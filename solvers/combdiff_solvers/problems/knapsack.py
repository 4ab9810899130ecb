"""0/1 knapsacks of one or several dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Unpack

import numpy as np
from jaxtyping import Float64, Shaped, UInt8
from numpy import ndarray

from combdiff_solvers.compute.sums import exponents, row_products, unit_rows
from combdiff_solvers.compute.threads import check_threads, for_rows
from combdiff_solvers.instances import ColumnInstances
from combdiff_solvers.limits import LimitOptions, Limits
from combdiff_solvers.problems.backends import check_backend
from combdiff_solvers.problems.knapsack_kernels import knapsacks
from combdiff_solvers.protocol import BatchSolver, Rows, Sense, Sets, Solutions, Status

Backend = Literal["auto", "kernel", "mip"]
NODES = 300_000  # about 0.05 s
SLACK = 1e-9


@dataclass(frozen=True, eq=False)
class KnapsackInstances(ColumnInstances):
    """The weights and capacities of each row of a batch.

    What is None is as the solver was told.

    Instances: `KnapsackInstances`, or a sequence of mappings with its fields as keys.

    Args:
        weights: (b, d, n).
        capacity: (b, d).

    >>> KnapsackInstances(capacity=np.array([[5.0], [7.0]]))[1]
    {'capacity': array([7.])}
    """

    weights: Shaped[ndarray, "b d n"] | None = None
    capacity: Shaped[ndarray, "b d"] | None = None


class Knapsack(BatchSolver):
    """The most valuable set of items that fits, as a 0/1 vector.

    Solves max (or min) ⟨θ, y⟩ over y ∈ {0, 1}ⁿ with W y ≤ c: θ are the values of n items, W (d × n, not negative)
    their weights in d dimensions. Items that gain nothing are left out (θ ≤ 0 for max), unless they weigh nothing and
    θ > 0. A load may pass its capacity by 1e-9 · c, so that sums of decimal weights such as 0.1 + 0.2 ≤ 0.3 hold.

    - `"kernel"`: branch and bound with the bound of the surrogate knapsack, on the rows of a batch by threads. It is
      exact up to 1e-13 · Σ|θ|. A row that takes more than `nodes` nodes ends as FEASIBLE with the best found.
    - `"mip"`: SCIP in OR-Tools by `MixedInteger`, within its tolerance of 1e-9 · Σ|θ| (in 0.65 to 0.75 of the time of
      a pywraplp model built for each row).
    - `"auto"` (default): the kernel, and SCIP for the rows that the kernel did not prove.

    A row whose weights or capacities are negative or not finite is an ERROR, alone.

    Args:
        weights: (d, n), or (n,) for one dimension; not negative.
        capacity: (d,) or a number; not negative.
        sense: "max" (default) or "min" (items with negative costs are worth taking).
        backend: "auto", "kernel" or "mip".
        nodes: most nodes of the kernel for each row.
        threads: how many rows the kernel solves at a time; every core if None.
        limits: `time_limit`, `batch_time_limit`, `relative_gap` and `absolute_gap` of the MIP solver: see `Limits`. A
            row that the batch's time leaves out is FEASIBLE, with what the kernel found.

    Raises:
        ValueError: for weights and capacities that do not fit together, are negative or not finite.
        ImportError: when the MIP solver is asked for and OR-Tools is not installed.

    Source: S. Martello and P. Toth (1990), "Knapsack problems"; surrogate multipliers after F. Glover (1968).

    >>> Knapsack([[3.0, 4.0, 5.0]], [8.0]).solve(np.array([[2.0, 5.0, 6.0], [3.0, 9.0, 6.0]])).y
    array([[1., 0., 1.],
           [1., 1., 0.]])
    """

    takes_instances = True

    def __init__(
        self,
        weights: ndarray | Sequence[Any],
        capacity: ndarray | Sequence[float] | float | int,
        sense: Sense | str = Sense.MAX,
        backend: Backend = "auto",
        nodes: int = NODES,
        threads: int | None = None,
        **limits: Unpack[LimitOptions],
    ) -> None:
        self.weights = np.atleast_2d(np.asarray(weights, dtype=np.float64))
        self.capacity = np.atleast_1d(np.asarray(capacity, dtype=np.float64))
        if self.weights.ndim != 2 or not self.weights.size or self.capacity.shape != self.weights.shape[:1]:
            raise ValueError(
                f"weights have shape {self.weights.shape} and capacity {self.capacity.shape}, but a knapsack has "
                "(dimensions, items) weights and a capacity for each dimension"
            )
        for name, values in (("weights", self.weights), ("capacity", self.capacity)):
            if not (np.isfinite(values).all() and (values >= 0.0).all()):
                bad = values[~(values >= 0.0) | np.isinf(values)][0]
                raise ValueError(f"{name} hold {bad}, but must be finite and not negative")
        check_backend(backend, Backend, limits, unlimited=("kernel",))
        if nodes < 1:
            raise ValueError(f"nodes={nodes} must be at least 1")
        self.shape, self.sense = (self.weights.shape[1],), Sense(sense)
        self.backend: Backend = backend
        self.nodes, self.limits, self.threads = nodes, Limits(**limits), check_threads(threads)

    def solve_checked(self, theta: Rows, instances: Sets) -> Solutions:
        clock = Limits(batch_time_limit=self.limits.batch_time_limit).start()
        status = np.zeros(len(theta), dtype=np.uint8)
        weights, capacity, messages = self._sets(instances, status)
        y = np.zeros_like(theta)
        gains = -self.sense.sign * unit_rows(theta)
        if self.backend != "mip":
            for_rows(
                knapsacks, len(theta), gains, weights, capacity * (1.0 + SLACK), self.nodes, y, status,
                threads=self.threads,
            )  # fmt: skip
        open_rows = np.flatnonzero(status == (Status.OPTIMAL if self.backend == "mip" else Status.FEASIBLE))
        if len(open_rows) and self.backend != "kernel":
            alike = len(weights) == len(capacity) == 1 and not self.limits.absolute_gap
            for part in [open_rows] if alike else open_rows[:, None]:
                weight, limit = (sets[part[0] if len(sets) > 1 else 0] for sets in (weights, capacity))
                gap = float(np.ldexp(self.limits.absolute_gap, -exponents(theta[part])[0]))
                left = clock.seconds()
                limits = replace(self.limits, batch_time_limit=left and max(left, 1e-9), absolute_gap=gap)
                y[part], status[part] = self._prove(gains[part], weight, limit, y[part], limits)
                for row in part[status[part] != Status.OPTIMAL].tolist():
                    messages[row] = "the MIP solver stopped before a proof: a limit struck"
        for row in np.flatnonzero(status == Status.FEASIBLE):
            messages.setdefault(int(row), f"not proven optimal within {self.nodes} nodes: raise nodes, or use 'auto'")
        tolerance = np.full(len(theta), 1e-13)
        if self.backend != "kernel":
            tolerance[open_rows] = 1e-9
        return Solutions.from_y(y, theta, self.sense, status, messages, tolerance)

    def _prove(
        self, gains: Rows, weight: Float64[ndarray, "d n"], limit: Float64[ndarray, " d"], y: Rows, limits: Limits
    ) -> tuple[Rows, UInt8[ndarray, " b"]]:
        """The better of y, which is feasible, and of what SCIP finds; and what that is."""
        from combdiff_solvers.models.mixed_integer import MixedInteger

        unit = np.where(limit > 0.0, limit, 1.0)
        with np.errstate(over="ignore"):
            shares = np.minimum(weight / unit[:, None], 2.0)  # what weighs more than all never fits
        room, options = (1.0 + SLACK / 2) * limit / unit, {"parameters": _exact_loads(), **asdict(limits)}
        solver = MixedInteger(shares, room, integrality=1, bounds=(0, 1), sense="max", backend="scip", **options)
        found = solver.solve(gains)
        points = np.where(found.solved[:, None] & (gains > 0.0), found.y, 0.0)  # it may take what gains nothing
        fits = (np.einsum("bn,dn->bd", points, weight) <= limit * (1.0 + SLACK)).all(axis=1)
        better = fits & (row_products(gains, points) >= row_products(gains, y))
        proven = fits & (found.status == Status.OPTIMAL)
        status = np.where(proven, Status.OPTIMAL, Status.FEASIBLE).astype(np.uint8)
        return np.where(better[:, None], points, y), status

    def _sets(
        self, instances: Sets, status: UInt8[ndarray, " b"]
    ) -> tuple[Float64[ndarray, "s d n"], Float64[ndarray, "t d"], dict[int, str]]:
        """The weights and capacities of the rows (or of all at once); rows with bad ones become an ERROR."""
        weights, capacity, messages = self.weights[None], self.capacity[None], dict[int, str]()
        if instances is None or not len(status):
            return weights, capacity, messages
        given = KnapsackInstances.of(instances)
        own_weights = given.reals("weights", self.weights.shape, messages)
        own_capacity = given.reals("capacity", self.capacity.shape, messages)
        weights = weights if own_weights is None else own_weights
        capacity = capacity if own_capacity is None else own_capacity
        for name, values in (("weights", weights), ("capacity", capacity)):
            for row in np.flatnonzero((values < 0.0).reshape(len(values), -1).any(axis=1)).tolist():
                messages.setdefault(row, f"the {name} of this row are negative")
        status[list(messages)] = Status.ERROR
        return weights, capacity, messages


def _exact_loads() -> Any:
    """SCIP's tolerance for rows of 1e-6 would let a load pass its capacity by more than `SLACK`."""
    from ortools.math_opt.python import mathopt
    from ortools.math_opt.solvers.gscip import gscip_pb2

    return mathopt.SolveParameters(gscip=gscip_pb2.GScipParameters(real_params={"numerics/feastol": 1e-9}))
