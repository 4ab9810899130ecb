"""Rows with feasible sets of their own: a model built for each instance, and kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import Any, SupportsIndex

import numpy as np

from combdiff_solvers.chunks import ContractError, concatenate, failed, solve_safely
from combdiff_solvers.compute.forks import ForkSafeLock
from combdiff_solvers.instances import instance_key
from combdiff_solvers.protocol import BatchSolver, PerRow, Rows, Sense, Sets, Solutions, Solver, as_shape, value_checked
from combdiff_solvers.wrap import wrap


class Factory(BatchSolver):
    """Solves row i over the feasible set of `build(instances[i])`.

    `build` returns a Solver, or a pair (model, variables) for `wrap`. What it returns must have the factory's `shape`
    and sense. Built solvers are kept, the least recently used ones go first, and the rows of equal instances are solved
    together. Equality is by value: arrays, numbers, strings, and tuples, lists and mappings of them; anything else by
    its pickle. A `build` that raises makes its rows ERROR, with the message kept, and no others; one that returns
    anything but a solver of the factory's shape and sense raises at once.

    Threads share one factory, those of `Parallel` too. Each builds solvers of its own, unless they have an attribute
    `thread_safe` that is true, and `keep` counts those of all threads: the solvers of 20 instances for 4 threads take
    `keep=80`, and with less they take less memory and are built again more often. Several threads may call `build` at
    once. Each process of `Parallel(backend="processes")` has a factory of its own.

    Args:
        build: instance ↦ Solver or (model, variables); a function defined at the top of a module can be pickled.
        shape: of one θ and one y; a number is the shape of a vector.
        sense: "min" or "max", that of every model.
        keep: how many built solvers to keep, those of all threads together.
        options: passed to `wrap` with the pairs that `build` returns (`time_limit=`, `backend=`, ...).

    Raises:
        ValueError: for an empty shape or `keep` below 1; in `solve`, where `build` returns no solver or one of another
            shape or sense.

    >>> from combdiff_solvers import TopK
    >>> choose = Factory(lambda k: TopK(3, k), shape=(3,), sense="max")
    >>> choose.solve(np.array([[0.3, 2.0, 0.9], [0.3, 2.0, 0.9]]), instances=[1, 2]).y
    array([[0., 1., 0.],
           [0., 1., 1.]])
    """

    takes_instances = True
    thread_safe = True

    def __init__(
        self,
        build: Callable[[Any], Any],
        shape: SupportsIndex | Iterable[SupportsIndex],
        sense: Sense | str = Sense.MIN,
        keep: int = 256,
        **options: Any,
    ) -> None:
        if keep < 1:
            raise ValueError(f"keep={keep} must be at least 1")
        self.build, self.keep, self.options = build, keep, options
        self.shape, self.sense = as_shape(shape), Sense(sense)
        self._forget()

    def _forget(self) -> None:
        self._built: OrderedDict[tuple[Hashable, int | None], Solver] = OrderedDict()  # by instance and thread
        self._lock = ForkSafeLock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_built", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def solve_checked(self, theta: Rows, instances: Sets) -> Solutions:
        """Solve checked rows, each over its own instance."""
        pieces: list[tuple[int | list[int], Solutions]] = []
        for (key, instance), rows in _group(instances):
            try:
                found, _ = solve_safely(self._solver(key, instance), theta[rows], None)
            except ContractError:
                raise
            except Exception as error:
                found = failed(len(rows), theta.shape[1], error, self.sense)
            pieces.append((rows, found))
        return concatenate(pieces, *theta.shape)

    def value_checked(self, y: Rows, theta: Rows, instances: Sets) -> PerRow:
        """⟨θ, y⟩ + h(y) of every row by the model of its instance; NaN, and no model, where y holds NaN.

        Raises:
            Exception: what `build` raises.
        """
        found = np.full(len(theta), np.nan)
        for (key, instance), rows in _group(instances):
            known = [row for row in rows if not np.isnan(y[row]).any()]
            if known:
                found[known] = value_checked(self._solver(key, instance), y[known], theta[known], None)
        return found

    def _solver(self, key: Hashable, instance: Any) -> Solver:
        thread = threading.get_ident()
        with self._lock.current:
            for place in ((key, thread), (key, None)):
                if place in self._built:
                    self._built.move_to_end(place)
                    return self._built[place]
        built = self.build(instance)
        solver: Solver = wrap(*built, **{"sense": self.sense} | self.options) if isinstance(built, tuple) else built
        if not isinstance(solver, Solver):
            raise ContractError(
                f"build returned a {type(built).__name__}, but a Solver or a pair (model, variables) was expected"
            )
        if tuple(solver.shape) != self.shape or solver.sense is not self.sense:
            raise ContractError(
                f"build returned a solver of shape {tuple(solver.shape)} and sense {solver.sense.value!r}, but the "
                f"factory has shape {self.shape} and sense {self.sense.value!r}: both must agree for every instance"
            )
        with self._lock.current:
            self._built[key, None if getattr(solver, "thread_safe", False) else thread] = solver
            while len(self._built) > self.keep:
                self._built.popitem(last=False)
        return solver


def _group(instances: Sets) -> list[tuple[tuple[Hashable, Any], list[int]]]:
    """The different instances, each with its key and its rows."""
    if instances is None:
        raise ValueError("Factory builds each row's model from its instance: give instances, one for each row")
    groups: dict[Hashable, list[int]] = {}
    for row in range(len(instances)):
        groups.setdefault(instance_key(instances[row]), []).append(row)
    return [((key, instances[rows[0]]), rows) for key, rows in groups.items()]
