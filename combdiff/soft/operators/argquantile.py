"""Soft weights of a quantile."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from combdiff.soft.arguments import Strength, as_rows, check_options, from_rows
from combdiff.soft.operators.permutation import PERMUTATIONS, matrix_of
from combdiff.soft.operators.quantile import check_points, neighbours


def soft_argquantile(
    values: Float[Tensor, "*dims"],
    q: float | Float[Tensor, " q"],
    regularization_strength: Strength = 1.0,
    *,
    dim: int | None = -1,
    mask: Bool[Tensor, "*#dims"] | None = None,
    method: str = "neuralsort",
) -> Float[Tensor, "*weights"]:
    """How much each value is the q-quantile: weights w that sum to 1; Σ_j w_j x_j is the `soft_quantile` by the method.

    With the matrix P of `soft_permutation` for k values and h = q (k − 1): w = (1 − h + ⌊h⌋) P_⌊h⌋ + (h − ⌊h⌋) P_⌊h⌋₊₁,
    with rows counted from 0. For ε → 0 it is one-hot, or halves and the like between two neighbours. The weights serve
    to take something else at the quantile: Σ_j w_j z_j.

    Args:
        values, regularization_strength, mask, method: as in `soft_permutation`; what does not count has the weight 0.
        q: as in `soft_quantile`; a vector gives the result a first dimension.
        dim: the dimension the quantile is taken along; None takes that of all values.

    Returns:
        A weight for each value, of the shape of `values`. A row without values that count has the weights 0, one with a
        NaN has NaN.

    Raises:
        TypeError, ValueError: as `soft_quantile`.

    >>> soft_argquantile(torch.tensor([4.0, 1.0, 2.0]), 0.25, 0.01)
    tensor([0.0000, 0.5000, 0.5000])
    """
    check_options(tuple(PERMUTATIONS), method)
    check_points(q)
    axis, rows, strength, valid = as_rows(values, dim, regularization_strength, mask)
    if rows.shape[-1] == 0:
        raise ValueError(f"values of shape {tuple(values.shape)} has no entries along dim={dim}: no quantile exists")
    points = q if isinstance(q, Tensor) else torch.tensor(q, dtype=torch.float64)
    matrix = matrix_of(method, rows, strength, valid, descending=False)
    low, high, part = neighbours(points, rows, valid)
    below, above = (matrix.gather(-2, at[..., None].expand(*at.shape, rows.shape[-1])) for at in (low, high))
    part = part[..., None].to(matrix.dtype)
    weights = ((1 - part) * below + part * above).to(values.dtype)  # shape: (rows, points, n)
    each = torch.stack([from_rows(one, values, axis).reshape(values.shape) for one in weights.unbind(1)])
    return each[0] if points.ndim == 0 else each
