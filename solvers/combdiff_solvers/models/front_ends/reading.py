"""What several readers of models share: sparse rows, and how they refuse what is not linear."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import scipy.sparse
from jaxtyping import Float64
from numpy import ndarray


def sparse_rows(rows: Iterable[Sequence[Sequence[Any]]], columns: int) -> scipy.sparse.csr_matrix:
    """The matrix whose rows, (places, values), have these values at these places; a place that comes twice is summed.

    >>> sparse_rows([([0, 2], [1.0, 3.0]), ([], [])], 3).toarray()
    array([[1., 0., 3.],
           [0., 0., 0.]])
    """
    kept = list(rows)
    starts = np.cumsum([0, *(len(places) for places, _ in kept)])
    places = np.array([place for row, _ in kept for place in row], dtype=np.int64)
    values = np.array([value for _, row in kept for value in row], dtype=np.float64)
    return scipy.sparse.csr_matrix((values, places, starts), shape=(len(kept), columns))


def bounds(sides: Iterable[Any], without: float) -> Float64[ndarray, " k"]:
    """Sides as numbers; None is `without`, -inf or inf."""
    return np.array([without if side is None else side for side in sides], dtype=np.float64)


def not_linear(part: str, reason: str) -> ValueError:
    """The refusal of a part of a model by its name."""
    return ValueError(
        f"{part} is not linear: {reason}. theta can be added to linear and mixed-integer linear models; wrap a "
        "function θ ↦ y that solves the model as it is"
    )


def listed(names: Sequence[str], most: int = 5) -> str:
    """Names for a message, cut where they are many."""
    return ", ".join([*names[:most], "..."] if len(names) > most else names)
