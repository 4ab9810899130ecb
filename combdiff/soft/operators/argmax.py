"""Soft argmax."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from combdiff.soft.arguments import Strength, check_options, check_values
from combdiff.soft.operators.topk import TOPK_METHODS, soft_topk_mask


def soft_argmax(
    values: Float[Tensor, "*dims"],
    regularization: str = "l2",
    regularization_strength: Strength = 1.0,
    *,
    dim: int | None = -1,
    keepdim: bool = False,
    mask: Bool[Tensor, "*#dims"] | None = None,
    method: str = "pav",
) -> Float[Tensor, "*left"]:
    """The expected index of the largest value: Σ_i i p_i with the shares p of `soft_topk(values, 1, ...)`.

    p is sparsemax(x/ε) for "l2" and softmax(x/ε) for "kl"; for ε → 0 the result is `argmax`, and the mean of the
    indices where several values are the largest. An index means something where neighbours do (a position on an axis):
    for classes use the shares.

    Args:
        values: (..., n, ...), n ≥ 1, any float dtype.
        regularization, regularization_strength, method, mask: as in `soft_topk`.
        dim: the dimension to search along; None searches all, as `argmax` of the flattened values.
        keepdim: keep it with size 1.

    Raises:
        TypeError, ValueError: as `soft_topk`, and for no values.

    Source: Martins & Astudillo (2016), "From softmax to sparsemax", for l2.

    >>> soft_argmax(torch.tensor([0.0, 1.0, 1.5]))
    tensor(1.7500)
    """
    check_options(TOPK_METHODS, method, regularization, keepdim=keepdim)
    axis = check_values(values, dim)
    if (values.numel() if axis is None else values.shape[axis]) == 0:
        raise ValueError(f"values of shape {tuple(values.shape)} has no entries along dim={dim}: no largest one exists")
    shares = soft_topk_mask(values, 1, regularization, regularization_strength, dim=dim, mask=mask, method=method)
    if axis is None:
        index = torch.arange(values.numel(), device=values.device, dtype=shares.dtype).reshape(values.shape)
        return (shares * index).sum().reshape(values.ndim * [1] if keepdim else [])
    index = torch.arange(values.shape[axis], device=values.device, dtype=shares.dtype)
    index = index.reshape([-1 if at == axis else 1 for at in range(values.ndim)])
    return (shares * index).sum(axis, keepdim=keepdim)
