"""The feasible sets of a batch's rows, held as columns of arrays, and the one place where their entries are checked."""

from __future__ import annotations

import operator
import pickle
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Bool, Float64, Int, Int64, Shaped
from numpy import ndarray

Columns = TypeVar("Columns", bound="ColumnInstances")


class ColumnInstances(Sequence[Any]):
    """A sequence of instances, one a row, that is stored as one array a field.

    A batch of thousands of rows then costs no Python loop. Subclasses are frozen dataclasses whose fields
    are arrays with a leading batch axis (or tensors or lists, which become arrays), or None for what the solver was
    told once for all rows. An item is a mapping from the given fields to that row's entries; a slice or an array of
    row numbers gives the instances of those rows.

    This base itself holds columns of any names, as a `DataLoader` makes them of mappings.

    Raises:
        ValueError: without any column, or when the columns have different numbers of rows.
        TypeError: for a list of tensors, which may be the transpose of what was meant.

    >>> trips = ColumnInstances(start=[[0, 0], [2, 1], [1, 1]], goal=[[2, 2], [0, 0], [1, 2]])
    >>> len(trips), trips[1], trips[1:][0]["goal"]
    (3, {'start': array([2, 1]), 'goal': array([0, 0])}, array([0, 0]))
    """

    def __init__(self, **columns: Any) -> None:
        vars(self).update(columns)
        self.__post_init__()

    def __post_init__(self) -> None:
        columns = {name: as_array(values, name) for name, values in self._given().items()}
        lengths = {name: len(values) if values.ndim else None for name, values in columns.items()}
        if len(set(lengths.values())) != 1 or None in lengths.values():
            raise ValueError(
                f"{type(self).__name__} needs at least one field, and one entry a row in each: got {lengths or 'none'}"
            )
        vars(self).update(columns)

    def _given(self) -> dict[str, Any]:
        return {name: values for name, values in vars(self).items() if values is not None}

    def __len__(self) -> int:
        return len(next(iter(self._given().values())))

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice | list | ndarray):
            return self.take(np.arange(len(self))[row])
        number = operator.index(row)
        return {name: values[number] for name, values in self._given().items()}

    def take(self: Columns, rows: Int[ndarray, " k"]) -> Columns:
        """The instances of the given rows, in their order."""
        return type(self)(**{name: values[rows] for name, values in self._given().items()})

    @classmethod
    def of(cls: type[Columns], instances: Any) -> Columns:
        """The instances of a batch, whatever they came as.

        Args:
            instances: an object of this class; a mapping from fields to columns (arrays or tensors), which is what a
                `DataLoader` makes of mappings; a sequence of mappings with the same keys, one for each row; or an
                array, or a sequence of arrays, where the class has one field (but for those marked as "beside" it).

        Raises:
            TypeError: when it is none of them; the item that is no such mapping is named.
            ValueError: when a field has different shapes in different rows; the row is named.
        """
        if isinstance(instances, cls):
            return instances
        known = [column.name for column in fields(cls)]  # type: ignore[arg-type]
        alone = [column.name for column in fields(cls) if not column.metadata.get("beside")]  # type: ignore[arg-type]
        if isinstance(instances, Mapping):
            instances = ColumnInstances(**instances)
        if isinstance(instances, ColumnInstances):
            columns = instances._given()
            if not set(columns) <= set(known):
                raise TypeError(
                    f"the instances have the columns {', '.join(map(str, columns))}, but the fields of "
                    f"{cls.__name__} are {', '.join(known)}"
                )
            return cls(**columns)
        if len(alone) == 1 and all(hasattr(item, "__array__") for item in instances):
            return cls(**{alone[0]: _stack([as_array(item) for item in instances], alone[0])})
        for row, item in enumerate(instances):
            if not isinstance(item, Mapping) or not set(item) <= set(known) or set(item) != set(instances[0]):
                raise TypeError(
                    f"instance {row} is {item!r}, but a row's instance is a mapping with keys among "
                    f"{', '.join(known)}, the same in every row; or give one {cls.__name__} for the batch"
                )
        return cls(**{name: _stack([as_array(item[name]) for item in instances], name) for name in instances[0]})

    def whole(self, name: str, shape: tuple[int, ...], bad: dict[int, str]) -> Int64[ndarray, b * shape] | None:
        """A column of whole numbers as int64, (b, *shape); None where it was not given.

        A row that holds anything else is noted in `bad`, with the reason, and 0 takes its place.

        Raises:
            ValueError: for a column of another shape.
        """
        values = self._numbers(name, shape, bad)
        if values is None or values.dtype == np.int64:
            return values
        if values.dtype.kind == "f":
            fits = (values == np.floor(values)) & (np.abs(values) < 2.0**63)
            values = self._without(fits, values, name, "a whole number", bad)
        elif values.dtype == np.uint64:
            values = self._without(values < 2**63, values, name, "below 2^63", bad)
        return values.astype(np.int64)

    def reals(self, name: str, shape: tuple[int, ...], bad: dict[int, str]) -> Float64[ndarray, b * shape] | None:
        """A column of finite numbers as float64; otherwise as `whole`."""
        values = self._numbers(name, shape, bad)
        return None if values is None else np.ascontiguousarray(values, dtype=np.float64)

    def flags(self, name: str, shape: tuple[int, ...], bad: dict[int, str]) -> Bool[ndarray, b * shape] | None:
        """A column of truth values (or of numbers, true where they are not 0); otherwise as `whole`."""
        values = self._numbers(name, shape, bad)
        return None if values is None else values.astype(bool)

    def _numbers(self, name: str, shape: tuple[int, ...], bad: dict[int, str]) -> Shaped[ndarray, b * shape] | None:
        """A column as finite numbers: integers or booleans as they are, else floats; 0 in rows that have others."""
        values = getattr(self, name)
        if values is None:
            return None
        if values.shape[1:] != shape:
            raise ValueError(
                f"{name} has shape {values.shape}, but instances of this solver have {('b', *shape)}".replace("'", "")
            )
        if values.dtype.kind in "biu":
            return values
        if values.dtype.kind != "f":
            values = np.vectorize(_as_float, otypes=[np.float64])(values) if values.size else values.astype(np.float64)
        return self._without(np.isfinite(values), values, name, "a finite number", bad)

    def _without(self, good: ndarray, values: ndarray, name: str, wanted: str, bad: dict[int, str]) -> ndarray:
        """The values with 0 in each row that is not all good, which is noted."""
        wrong = ~good.reshape(len(good), -1).all(axis=1)
        if not wrong.any():
            return values
        for row in np.flatnonzero(wrong).tolist():
            entry = tuple(np.argwhere(~good[row])[0].tolist()) if good.ndim > 1 else ()
            given = getattr(self, name)[(row, *entry)]
            where = f" at {entry if len(entry) > 1 else entry[0]}" if entry else ""
            bad.setdefault(row, f"{name} is {given}{where} in this row's instance, but must be {wanted}")
        kept = values.copy()
        kept[wrong] = 0
        return kept


def as_array(values: Any, name: str = "instances") -> ndarray:
    """Values as an array, be they an array, a tensor on any device, or a list of numbers or arrays.

    Raises:
        TypeError: for a list of tensors.
    """
    if isinstance(values, ndarray):
        return values
    if isinstance(values, list | tuple) and any(hasattr(part, "cpu") for part in values):
        raise TypeError(
            f"{name} is a list of tensors, as torch's default_collate makes it of tuples, and that is the transpose of "
            "one entry a row: give arrays instead of tuples in the samples, or DataLoader(..., "
            "collate_fn=combdiff.collate)"
        )
    return np.asarray(values.cpu() if hasattr(values, "cpu") else values)


def select(instances: Sequence[Any], rows: Int[ndarray, " k"]) -> Sequence[Any]:
    """The instances of the given rows, in their order; columns without a Python loop.

    >>> select(["a", "b", "c"], np.array([2, 0, 2]))
    ['c', 'a', 'c']
    """
    if isinstance(instances, ColumnInstances):
        return instances.take(rows)
    return [instances[row] for row in rows.tolist()]


def instance_key(instance: Any) -> Hashable:
    """A hashable that is equal for equal instances.

    Arrays, mappings, lists and tuples are taken by their content, whatever their order in memory; anything else by its
    pickle, so that an equal instance may at worst be taken for another one.

    >>> instance_key({"cap": np.arange(2)}) == instance_key({"cap": np.arange(2)})
    True
    """
    if isinstance(instance, ndarray) and instance.dtype != object:
        return ("array", instance.shape, instance.dtype.str, instance.tobytes())
    if isinstance(instance, Mapping):
        pairs = [(instance_key(name), instance_key(part)) for name, part in instance.items()]
        return ("mapping", tuple(sorted(pairs, key=lambda pair: repr(pair[0]))))
    if isinstance(instance, (list, tuple)):
        return (type(instance).__name__, tuple(instance_key(item) for item in instance))
    if isinstance(instance, (bool, int, float, str, bytes, np.generic, type(None))):
        return (type(instance).__name__, instance)
    return ("pickle", pickle.dumps(instance))


def _stack(entries: list[ndarray], name: str) -> ndarray:
    for row, entry in enumerate(entries):
        if entry.shape != entries[0].shape:
            raise ValueError(
                f"{name} has shape {entry.shape} in instance {row} and {entries[0].shape} in instance 0: "
                "each row's must have the same shape"
            )
    return np.stack(entries)


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return float("nan")
