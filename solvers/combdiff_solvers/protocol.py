"""The contract between a solver and everything that is built on it.

A *solver* computes, for every row of a batch,

    y*(θ) = argmin (or argmax) over y ∈ Y of ⟨θ, y⟩ + h(y)

where `Y` is the feasible set and `h` is what the model held in its objective beside the priced
variables (often nothing). The laws of the contract are tests in `combdiff.testing.SolverContract`.
"""

from __future__ import annotations

import inspect
import operator
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from enum import Enum, IntEnum
from math import prod
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64, UInt8
from numpy import ndarray

from combdiff_solvers.compute.sums import rounding, row_products
from combdiff_solvers.instances import ColumnInstances, as_array
from combdiff_solvers.limits import Limits

Rows = Float64[ndarray, "b n"]  # θ or y of a batch
PerRow = Float64[ndarray, " b"]
Row = Float64[ndarray, " n"]
Sets = Sequence[Any] | None  # the feasible sets of a batch's rows, once they were checked; None where all rows have one


class Sense(Enum):
    """Which end of the objective a solver seeks.

    >>> Sense("min"), Sense.MAX.sign
    (<Sense.MIN: 'min'>, -1.0)
    """

    MIN = "min"
    MAX = "max"

    @property
    def sign(self) -> float:
        """+1 for MIN and −1 for MAX: `cost = sign · θ` is always to be minimised."""
        return 1.0 if self is Sense.MIN else -1.0

    @classmethod
    def _missing_(cls, value: object) -> Sense:
        raise ValueError(f"sense={value!r} is neither 'min' nor 'max'")


class Status(IntEnum):
    """How the solve of one row ended. Its `advice` says what to try next.

    >>> Status.LIMIT.has_solution
    False
    >>> print(Status.INFEASIBLE.advice)
    no feasible solution exists: check this row's instance (start, goal, capacity, constraints)
    """

    OPTIMAL = 0
    FEASIBLE = 1
    INFEASIBLE = 2
    UNBOUNDED = 3
    LIMIT = 4
    ERROR = 5

    @property
    def has_solution(self) -> bool:
        """Whether the row of `Solutions.y` holds a feasible point."""
        return self <= Status.FEASIBLE

    @property
    def advice(self) -> str:
        """What this status means and what to try."""
        return _ADVICE[self]


_ADVICE = {
    Status.OPTIMAL: "proven optimal: nothing to do",
    Status.FEASIBLE: "y is feasible but not proven optimal for this theta: a limit struck (raise it for a proof), "
    "or negative costs were clamped",
    Status.INFEASIBLE: "no feasible solution exists: check this row's instance (start, goal, capacity, constraints)",
    Status.UNBOUNDED: "the objective has no bound: bound the priced variables, or check the signs of theta",
    Status.LIMIT: "a limit struck before any solution was found: raise the time limit or give a starting solution",
    Status.ERROR: "the solver failed on this row: its message says why",
}


@dataclass(frozen=True)
class Solutions:
    """The answer to one batch.

    `y` holds NaN in a row without a solution, and so does `objective`; `messages` maps such a row to what
    its solver said, where it said something. `objective` is ⟨θ, y⟩ + h(y), recomputed in float64. `bound` is proven: no
    feasible point of the row is better. It is in the user's sense and units, rounded outwards by the errors of floating
    point; −inf (min) or +inf (max) where nothing is proven. `cached` counts the rows that were answered from a cache.

    >>> found = Solutions.from_y(np.array([[1.0, 0.0]]), np.array([[2.0, 5.0]]), Sense.MIN)
    >>> found.objective, found.solved, found.bound.round(9)
    (array([2.]), array([ True]), array([2.]))
    """

    y: Rows
    objective: PerRow
    _: KW_ONLY
    bound: PerRow
    status: UInt8[ndarray, " b"]
    messages: Mapping[int, str] = field(default_factory=dict)
    cached: int = 0

    @property
    def solved(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which rows hold a solution, shape (b,)."""
        return self.status <= Status.FEASIBLE

    @classmethod
    def from_y(
        cls,
        y: Rows,
        theta: Rows,
        sense: Sense,
        status: UInt8[ndarray, " b"] | None = None,
        messages: Mapping[int, str] | None = None,
        tolerance: PerRow | float = 0.0,
    ) -> Solutions:
        """Solutions of a problem with h = 0: the objective is ⟨θ, y⟩; all rows are OPTIMAL unless told.

        OPTIMAL means here: but for the rounding of sums of θ in float64, and for `tolerance` times Σ|θ|. So much is
        given way in `bound`; other rows have none. The y of a row without a solution becomes NaN.
        """
        sign = sense.sign
        if status is not None and (status > Status.FEASIBLE).any():
            y = np.where((status > Status.FEASIBLE)[:, None], np.nan, y)
        with np.errstate(over="ignore", invalid="ignore"):
            objective = np.add.reduce(np.multiply(theta, y, order="C"), axis=1)
            bound = objective - sign * rounding(theta, tolerance)
        if not np.isfinite(bound).all():
            objective = row_products(theta, y)
            bound = np.where(np.isfinite(bound), bound, -sign * np.inf)
        if status is None:
            status = np.zeros(len(y), dtype=np.uint8)
        elif status.any():
            bound[status != Status.OPTIMAL] = -sign * np.inf
        return cls(y, objective, bound=bound, status=status, messages=messages or {})


@runtime_checkable
class Instances(Protocol):
    """What a user may give as the instances of a batch.

    A sequence with one item for each row; or columns with a leading batch axis, which is what a `DataLoader` makes of
    such items: a mapping from names to arrays or tensors, or one array or tensor.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, row: Any, /) -> Any: ...


@runtime_checkable
class Solver(Protocol):
    """Solves a batch of linear objectives over its feasible set.

    Laws, each a test of `combdiff.testing.SolverContract`:

    - a batch is its rows: solving them together or one by one gives the same answers;
    - the answer is feasible and, where the status is OPTIMAL, no feasible point is better;
    - deterministic: same θ, same options, same y, ties included;
    - stateless to the caller, and picklable by its description;
    - one bad row is that row's status, and never costs another row its solution.
    """

    sense: Sense
    shape: tuple[int, ...]

    def solve(self, theta: Rows, instances: Sets = None) -> Solutions:
        """Solve every row; `n` is the product of `shape`.

        Args:
            theta: objective coefficients, (b, n) float64, finite; b may be 0.
            instances: the feasible set of each row, for solvers whose rows may differ.
        """
        ...


class BatchSolver(ABC):
    """The base of our own solvers: it checks a batch, and a subclass says in `solve_checked` how it is solved.

    It prints what it was made with: its shape, its sense, and the options that are not the default.

    Attributes:
        takes_instances: whether the rows of a batch may have feasible sets of their own.
        without_instances: what to do where they may not, for the error.
    """

    shape: tuple[int, ...]
    sense: Sense
    takes_instances = False
    without_instances = "leave them out"

    def __repr__(self) -> str:
        own, parts = vars(self), dict[str, str]()
        for name, parameter in inspect.signature(type(self)).parameters.items():
            value = own.get(name)
            plain = isinstance(value, bool | int | float | str | tuple)
            if isinstance(value, Limits):
                parts |= {key: repr(given) for key, given in vars(value).items() if given}
            elif value is not None and name not in ("shape", "sense") and not (plain and value == parameter.default):
                parts[name] = _describe(value)
        parts |= {"shape": _describe(self.shape), "sense": repr(self.sense.value)}
        return f"{type(self).__name__}({', '.join(f'{name}={text}' for name, text in parts.items())})"

    def solve(self, theta: Rows, instances: Instances | None = None) -> Solutions:
        """Solve every row.

        Args:
            theta: (b, n) coefficients, finite; n is the product of `shape`.
            instances: the feasible set of each row; see the class for what it takes.

        Raises:
            ValueError: for θ of another shape, an entry that is NaN or infinite (named by its index), instances that
                the solver does not take, or another number of them than rows.
        """
        theta = as_rows(theta, self.shape)
        return self.solve_checked(theta, None if instances is None else self.check_instances(instances, len(theta)))

    def value(self, y: Rows, theta: Rows, instances: Instances | None = None) -> PerRow:
        """What the objective is worth at each y: see `combdiff_solvers.protocol.value`."""
        return value(self, y, theta, instances)

    @abstractmethod
    def solve_checked(self, theta: Rows, instances: Sets) -> Solutions:
        """`solve` for what was checked before: θ is finite, C-contiguous float64, and has one instance a row."""

    def value_checked(self, y: Rows, theta: Rows, instances: Sets) -> PerRow:
        """`value` for what was checked before; a solver with an h of its own overrides it."""
        return row_products(theta, y)

    def check_instances(self, instances: Instances | None, rows: int) -> Sets:
        """The instances as a sequence of one a row.

        Raises:
            ValueError: for instances that the solver does not take, or another number of them than rows.
        """
        given = as_instances(instances)
        if given is not None:
            if not self.takes_instances:
                name = type(self).__name__
                raise ValueError(
                    f"{name} has one feasible set for all rows and takes no instances: {self.without_instances}"
                )
            check_count(given, rows)
        return given


def _describe(value: Any) -> str:
    if isinstance(value, ndarray):
        return f"array{value.shape}"
    return getattr(value, "__qualname__", None) or repr(value)


def solve_checked(solver: Solver, theta: Rows, instances: Sets) -> Solutions:
    """Solve rows that were checked before, without checking them again where the solver is one of ours."""
    if getattr(solver.solve, "__func__", None) is BatchSolver.solve:  # and not what a subclass put in its place
        return solver.solve_checked(theta, instances)  # type: ignore[attr-defined]
    return solver.solve(theta, instances)


def value_checked(solver: Solver, y: Rows, theta: Rows, instances: Sets) -> PerRow:
    """`value` for what was checked before, without checking it again where the solver is one of ours."""
    own = getattr(solver, "value", None)
    if own is None:
        return row_products(theta, y)
    if _inherited(own, BatchSolver.value):
        return solver.value_checked(y, theta, instances)  # type: ignore[attr-defined]
    found = np.asarray(own(y, theta, instances), dtype=np.float64)
    if found.shape != (len(theta),):
        raise ValueError(
            f"{type(solver).__name__}.value returned shape {found.shape} for theta {theta.shape}: "
            f"it must be ({len(theta)},), one number a row"
        )
    return found


def _inherited(method: Any, base: Any) -> bool:
    """Whether a bound method is the base's, and not one that a subclass put in its place."""
    return getattr(method, "__func__", None) is base


def value(solver: Solver, y: Rows, theta: Rows, instances: Instances | None = None) -> PerRow:
    """What the solver's objective is worth at each y: ⟨θ, y⟩ + h(y), in the solver's own sense and units.

    A solver whose model holds a term h(y) beside θ has a method `value(y, theta, instances)` of the same meaning, which
    is called here; one without that method has h = 0. Where unpriced variables complete y, h(y) is that of the best
    completion, and NaN where y has none.

    Args:
        solver: any `Solver`.
        y: (b, n), a point a row; `n` is the product of `solver.shape`.
        theta: (b, n), the coefficients of each row.
        instances: the feasible set of each row, as for `solver.solve`.

    Raises:
        ValueError: for another shape of θ or y, or an entry of θ that is NaN or infinite (named by its index).

    >>> from combdiff.solvers import TopK
    >>> value(TopK(3), np.array([[0.0, 1.0, 0.0]]), np.array([[1.0, 2.0, 3.0]]))
    array([2.])
    """
    theta = as_rows(theta, solver.shape)
    y = np.ascontiguousarray(y, dtype=np.float64)
    if y.shape != theta.shape:
        raise ValueError(f"y has shape {y.shape}, but theta {theta.shape}: each row of theta needs one point")
    given: Any = instances
    if isinstance(solver, BatchSolver) and _inherited(solver.value, BatchSolver.value):
        given = solver.check_instances(instances, len(theta))
    return value_checked(solver, y, theta, given)


def as_rows(theta: ndarray, shape: tuple[int, ...]) -> Rows:
    """Check a batch that a solver was given, and return it as C-contiguous float64 rows.

    Raises:
        ValueError: for another shape than (b, n), or a NaN or infinite entry (named by its index).
    """
    n = prod(shape)
    theta = np.ascontiguousarray(theta, dtype=np.float64)
    if theta.ndim != 2 or theta.shape[1] != n:
        raise ValueError(
            f"theta has shape {theta.shape}, but a batch for a solver of shape {shape} is (b, {n}): "
            f"one row of {n} coefficients for each problem"
        )
    if not np.isfinite(theta).all():
        row, column = np.argwhere(~np.isfinite(theta))[0]
        raise ValueError(f"theta[{row}, {column}] is {theta[row, column]}: every coefficient must be finite")
    return theta


def as_shape(shape: Any) -> tuple[int, ...]:
    """Check a shape that a user gave; a number is the shape of a vector.

    Raises:
        ValueError: unless it is one or several whole numbers of at least 1.

    >>> as_shape(3), as_shape([2, 4])
    ((3,), (2, 4))
    """
    axes = tuple(shape) if isinstance(shape, Iterable) and not isinstance(shape, str) else (shape,)
    if not axes or not all(hasattr(axis, "__index__") and axis >= 1 for axis in axes):
        raise ValueError(
            f"shape={shape!r} must be a whole number of at least 1, or a tuple of such: at least one axis, each of at "
            "least one entry"
        )
    return tuple(int(axis) for axis in axes)


def as_whole(name: str, number: Any) -> int:
    """Check a number that a user gave.

    Raises:
        ValueError: unless it is whole; it is named.

    >>> as_whole("k", np.int64(3))
    3
    """
    if not hasattr(number, "__index__"):
        raise ValueError(f"{name}={number!r} must be a whole number")
    return operator.index(number)


def as_instances(instances: Instances | None, rows: int | None = None) -> Sets:
    """The instances that a solver or layer was given as a sequence, with one item for each row.

    Raises:
        ValueError: for another number of them than `rows`, where that is given.

    >>> as_instances({"start": np.array([4, 7])})[1]
    {'start': np.int64(7)}
    """
    if instances is None:
        return None
    found: Any = instances
    if isinstance(instances, Mapping):
        found = ColumnInstances(**instances)
    elif hasattr(instances, "__array__"):
        found = list(as_array(instances))
    if rows is not None:
        check_count(found, rows)
    return found


def check_count(instances: Instances, rows: int) -> None:
    """Raise unless there is one instance for each row.

    Raises:
        ValueError: when the numbers differ.
    """
    columns = list(instances.values()) if isinstance(instances, Mapping) else [instances]
    count = len(columns[0]) if columns else 0
    if count != rows:
        raise ValueError(f"got {count} instances for {rows} rows of theta: each row needs its own instance")
