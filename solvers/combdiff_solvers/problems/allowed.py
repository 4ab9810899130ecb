"""Which entries of y each row of a batch may use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Shaped, UInt8
from numpy import ndarray

from combdiff_solvers.instances import ColumnInstances
from combdiff_solvers.protocol import Status


@dataclass(frozen=True, eq=False)
class AllowedInstances(ColumnInstances):
    """`allowed`: (b, *shape), true where an entry may be taken."""

    allowed: Shaped[ndarray, b * shape] | None = None

    @classmethod
    def price(
        cls, instances: Any, cost: Float64[ndarray, b * shape], status: UInt8[ndarray, " b"], messages: dict[int, str]
    ) -> Float64[ndarray, b * shape]:
        """The costs, infinite where an entry may not be taken; a row with a bad instance becomes an ERROR."""
        if instances is None or not len(cost):
            return cost
        allowed = cls.of(instances).flags("allowed", cost.shape[1:], messages)
        assert allowed is not None  # it is the only column
        status[list(messages)] = Status.ERROR
        return np.where(allowed, cost, np.inf)
