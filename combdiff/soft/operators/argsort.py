"""Soft argsort."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from combdiff.soft.arguments import Strength, as_rows, as_values, check_options
from combdiff.soft.operators.permutation import PERMUTATIONS, matrix_of


def soft_argsort(
    values: Float[Tensor, "*dims"],
    regularization_strength: Strength = 1.0,
    *,
    dim: int | None = -1,
    descending: bool = False,
    mask: Bool[Tensor, "*#dims"] | None = None,
    method: str = "neuralsort",
) -> Float[Tensor, "*sorted"]:
    """The expected index of the value in each sorted position: Σ_j j P_ij with the matrix P of `soft_permutation`.

    For ε → 0 it is `argsort` (the mean of their indices for equal values, where the method lets them share). An index
    means something where neighbours do (a position on an axis): to gather other things in this order, multiply them by
    the matrix.

    Args:
        values, regularization_strength, descending, method: as in `soft_permutation`, with its errors.
        dim: the dimension to sort along; None sorts all values, with the indices of `values.flatten()`.
        mask: broadcasts to values, True where an entry counts. Their indices come first; the rest of the result is 0.

    >>> soft_argsort(torch.tensor([3.0, 1.0, 2.0]), 0.5)
    tensor([1.1189, 1.6805, 0.2386])
    """
    check_options(tuple(PERMUTATIONS), method, descending=descending)
    axis, rows, strength, valid = as_rows(values, dim, regularization_strength, mask)
    matrix = matrix_of(method, rows, strength, valid, descending)
    index = torch.arange(rows.shape[-1], device=rows.device, dtype=rows.dtype)
    return as_values((matrix * index).sum(-1), values, axis)
