"""The feasible sets of a batch's rows, held as columns of arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Int
from numpy import ndarray

Columns = TypeVar("Columns", bound="ColumnInstances")


class ColumnInstances(Sequence[Any]):
    """A sequence of instances, one a row, that is stored as one array a field.

    A batch of thousands of rows then costs no Python loop. Subclasses are frozen dataclasses whose fields
    are arrays with a leading batch axis, or None for what the solver was told once for all rows.
    An item is a mapping from the given fields to that row's entries.
    """

    def __post_init__(self) -> None:
        lengths = {name: len(values) for name, values in self._given().items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(
                f"{type(self).__name__} needs at least one field, and one entry a row in each: got {lengths or 'none'}"
            )

    def _given(self) -> dict[str, ndarray]:
        return {name: values for name, values in vars(self).items() if values is not None}

    def __len__(self) -> int:
        return len(next(iter(self._given().values())))

    def __getitem__(self, row: int) -> dict[str, Any]:  # type: ignore[override]
        return {name: values[row] for name, values in self._given().items()}

    def take(self: Columns, rows: Int[ndarray, " k"]) -> Columns:
        """The instances of the given rows, in their order."""
        return type(self)(**{name: values[rows] for name, values in self._given().items()})

    @classmethod
    def of(cls: type[Columns], instances: Sequence[Any]) -> Columns:
        """From a sequence of mappings with the same keys, or an object of this class as it is.

        Raises:
            TypeError: when an item is not such a mapping; it is named.
        """
        if isinstance(instances, cls):
            return instances
        known = [column.name for column in fields(cls)]  # type: ignore[arg-type]
        for row, item in enumerate(instances):
            if not isinstance(item, Mapping) or not set(item) <= set(known) or set(item) != set(instances[0]):
                raise TypeError(
                    f"instance {row} is {item!r}, but a row's instance is a mapping with keys among "
                    f"{', '.join(known)}, the same in every row; or give one {cls.__name__} for the batch"
                )
        return cls(**{name: np.array([item[name] for item in instances]) for name in instances[0]})
