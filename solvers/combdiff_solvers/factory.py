"""Rows with feasible sets of their own: a model built for each instance, and kept."""

from __future__ import annotations

import pickle
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from combdiff_solvers.protocol import (
    Described,
    Instances,
    Sense,
    Solutions,
    Solver,
    Status,
    as_instances,
    as_rows,
    check_count,
)
from combdiff_solvers.wrap import wrap

__all__ = ["Factory"]


class Factory(Described):
    """Solves row i over the feasible set of `build(instances[i])`.

    `build` returns a Solver, or a pair (model, variables) for `wrap`. What it returns must have the factory's `shape`
    and sense. Built solvers are kept, the least recently used ones go first, and the rows of equal instances are solved
    together. Equality is by value: arrays, numbers, strings, and tuples, lists and mappings of them; anything else by
    its pickle. A `build` that raises makes its rows ERROR, with the message kept, and no others.

    Args:
        build: instance ↦ Solver or (model, variables); a function defined at the top of a module can be pickled.
        shape: of one θ and one y.
        sense: "min" or "max", that of every model.
        keep: how many built solvers to keep.
        options: passed to `wrap` with the pairs that `build` returns (`time_limit=`, `backend=`, ...).

    Raises:
        ValueError: for an empty shape or `keep` below 1.

    >>> from combdiff_solvers import TopK
    >>> choose = Factory(lambda k: TopK(3, k), shape=(3,), sense="max")
    >>> choose.solve(np.array([[0.3, 2.0, 0.9], [0.3, 2.0, 0.9]]), instances=[1, 2]).y
    array([[0., 1., 0.],
           [0., 1., 1.]])
    """

    def __init__(
        self,
        build: Callable[[Any], Any],
        shape: tuple[int, ...],
        sense: Sense | str = Sense.MIN,
        keep: int = 256,
        **options: Any,
    ) -> None:
        if not shape or min(shape) < 1:
            raise ValueError(f"shape={shape!r} must have at least one axis, each of at least one entry")
        if keep < 1:
            raise ValueError(f"keep={keep} must be at least 1")
        self.build = build
        self.shape = tuple(shape)
        self.sense = Sense(sense)
        self.keep = keep
        self.options = options
        self._forget()

    def _forget(self) -> None:
        self._built: OrderedDict[Hashable, Solver] = OrderedDict()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_built", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def solve(self, theta: Float64[ndarray, "b n"], instances: Instances | None = None) -> Solutions:
        """Solve every row of θ, (b, n), each over its own instance."""
        instances = as_instances(instances)
        theta = as_rows(theta, self.shape)
        if instances is None:
            raise ValueError("Factory builds each row's model from its instance: give instances, one for each row")
        check_count(instances, len(theta))
        y, objective = np.full_like(theta, np.nan), np.full(len(theta), np.nan)
        status = np.full(len(theta), Status.ERROR, dtype=np.uint8)
        messages: dict[int, str] = {}
        groups: dict[Hashable, list[int]] = {}
        for row in range(len(theta)):
            groups.setdefault(instance_key(instances[row]), []).append(row)
        for key, rows in groups.items():
            try:
                found = self._solver(key, instances[rows[0]]).solve(theta[rows])
            except Exception as error:
                messages.update({row: f"{type(error).__name__}: {error}" for row in rows})
                continue
            y[rows], objective[rows], status[rows] = found.y, found.objective, found.status
            messages.update({rows[at]: message for at, message in found.messages.items()})
        return Solutions(y, objective, status, messages)

    def _solver(self, key: Hashable, instance: Any) -> Solver:
        with self._lock:
            if key in self._built:
                self._built.move_to_end(key)
                return self._built[key]
        built = self.build(instance)
        solver: Solver = wrap(built[0], built[1], **self.options) if isinstance(built, tuple) else built
        if not isinstance(solver, Solver):
            raise TypeError(f"build returned a {type(built).__name__}, no Solver and no pair (model, variables)")
        if tuple(solver.shape) != self.shape or solver.sense is not self.sense:
            raise ValueError(
                f"build returned a solver of shape {solver.shape} and sense {solver.sense.value!r}, but the factory "
                f"has shape {self.shape} and sense {self.sense.value!r}"
            )
        with self._lock:
            self._built[key] = solver
            while len(self._built) > self.keep:
                self._built.popitem(last=False)
        return solver


def instance_key(instance: Any) -> Hashable:
    """A hashable that is equal for equal instances.

    >>> instance_key({"cap": np.arange(2)}) == instance_key({"cap": np.arange(2)})
    True
    """
    if isinstance(instance, ndarray) and instance.dtype != object:
        return ("array", instance.shape, instance.dtype.str, np.ascontiguousarray(instance).tobytes())
    if isinstance(instance, Mapping):
        return ("mapping", tuple(sorted(((instance_key(k), instance_key(v)) for k, v in instance.items()), key=repr)))
    if isinstance(instance, (list, tuple)):
        return (type(instance).__name__, tuple(instance_key(item) for item in instance))
    if isinstance(instance, (bool, int, float, str, bytes, np.generic, type(None))):
        return (type(instance).__name__, instance)
    return ("pickle", pickle.dumps(instance))
