"""Soft quantiles and medians."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from combdiff.soft.arguments import Strength, check_options, check_values, from_rows, mask_rows, to_rows
from combdiff.soft.operators.rank import METHODS
from combdiff.soft.operators.sort import soft_sort


def soft_quantile(
    values: Float[Tensor, "*dims"],
    q: float | Float[Tensor, " q"],
    regularization: str = "l2",
    regularization_strength: Strength = 1.0,
    *,
    dim: int | None = -1,
    keepdim: bool = False,
    mask: Bool[Tensor, "*#dims"] | None = None,
    method: str = "pav",
) -> Float[Tensor, "*left"]:
    """The q-quantile of the soft sorted values, by linear interpolation between neighbours.

    With s the soft ascending sort of k values and h = q (k − 1): s_⌊h⌋ + (h − ⌊h⌋)(s_⌊h⌋₊₁ − s_⌊h⌋). At ε = 0 this is
    `torch.quantile`. Several values get a gradient, not one or two.

    Args:
        values: (..., n, ...), n ≥ 1, any float dtype.
        q: between 0 and 1; or a vector of such numbers, along which the result has a first dimension, as in torch.
        regularization, regularization_strength, method: as in `soft_sort`.
        dim: the dimension the quantile is taken along; None takes that of all values.
        keepdim: keep it with size 1.
        mask: broadcasts to values, True where an entry counts; where nothing does, the result is NaN.

    Raises:
        TypeError, ValueError: as `soft_rank`, and for q outside of [0, 1], or no values.

    >>> x = torch.tensor([4.0, 1.0, 2.0])
    >>> soft_quantile(x, 0.25, regularization_strength=0.1)
    tensor(1.5000)
    >>> soft_quantile(x, torch.tensor([0.0, 1.0]), regularization_strength=0.1)
    tensor([1., 4.])
    """
    check_options(METHODS, method, regularization, keepdim=keepdim)
    check_points(q)
    axis = check_values(values, dim)
    if (values.numel() if axis is None else values.shape[axis]) == 0:
        raise ValueError(f"values of shape {tuple(values.shape)} has no entries along dim={dim}: no quantile exists")
    points = q if isinstance(q, Tensor) else torch.tensor(q, dtype=torch.float64)
    ordered = soft_sort(values, regularization, regularization_strength, dim=dim, mask=mask, method=method)
    ordered, valid = to_rows(ordered, axis), mask_rows(mask, values, axis)
    low, high, part = neighbours(points, ordered, valid)
    below, above = ordered.gather(-1, low), ordered.gather(-1, high)
    # differences of infinite values, and 0 times one, would be NaN
    finite = below.isfinite() & above.isfinite()
    found = below + part * torch.where(finite, above - below, 0.0)
    found = torch.where(finite | (part == 0), found, (1 - part) * below + part * above)
    if valid is not None:
        found = torch.where(valid.any(-1, keepdim=True), found, torch.nan)
    result = from_rows(found, values, axis)
    if axis is None:
        return result.reshape([*points.shape, *(values.ndim * [1] if keepdim else [])])
    if points.ndim == 0:
        return result if keepdim else result.squeeze(axis)
    front = result.movedim(axis, 0)
    return front.unsqueeze(axis + 1) if keepdim else front


def neighbours(points: Tensor, rows: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """The sorted positions below and above each quantile, from 0, and how far it is from the lower to the upper one."""
    counts = torch.full_like(rows[..., :1], rows.shape[-1]) if valid is None else valid.sum(-1, keepdim=True)
    place = points.reshape(-1).to(device=rows.device, dtype=torch.float64) * (counts - 1).clamp(min=0)
    low = place.floor().long()  # shape: (rows, points)
    return low, torch.minimum(low + 1, (counts.long() - 1).clamp(min=0)), (place - low).to(rows.dtype)


def check_points(q: float | Tensor) -> None:
    """q is a number in [0, 1], or a tensor of at most one dimension."""
    if isinstance(q, Tensor):
        if q.ndim > 1:
            raise ValueError(f"q of shape {tuple(q.shape)} must be a number or a vector")
    elif not 0 <= q <= 1:
        raise ValueError(f"q={q} is not between 0 and 1")


def soft_median(
    values: Float[Tensor, "*dims"],
    regularization: str = "l2",
    regularization_strength: Strength = 1.0,
    *,
    dim: int | None = -1,
    keepdim: bool = False,
    mask: Bool[Tensor, "*#dims"] | None = None,
    method: str = "pav",
) -> Float[Tensor, "*left"]:
    """The median of the soft sorted values: `soft_quantile` at ½, so the mean of the middle two of an even number.

    Arguments and errors are those of `soft_quantile`.

    >>> soft_median(torch.tensor([4.0, 1.0, 2.0]), regularization_strength=0.1)
    tensor(2.)
    """
    return soft_quantile(
        values, 0.5, regularization, regularization_strength, dim=dim, keepdim=keepdim, mask=mask, method=method
    )
