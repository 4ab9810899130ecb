"""SoftSort: softmax of the distance to the hard sorted values."""

from __future__ import annotations

import torch
from torch import Tensor

from combdiff.soft.arguments import Mask, Matrices, Values
from combdiff.soft.permutahedron.formula import exponent


def softsort_matrix(x: Values, eps: Tensor, mask: Mask) -> Matrices:
    """The row-stochastic matrix softmax(−|sort(x)_i − x_j| / ε).

    Source: Prillo & Eisenschlos (2020), "SoftSort: a continuous relaxation for the argsort operator", equation 1.

    >>> softsort_matrix(torch.tensor([[2.0, 1.0]]), torch.tensor([[1e-3]]), None)
    tensor([[[0., 1.],
             [1., 0.]]])
    """
    key = x if mask is None else torch.where(mask, x, torch.inf)
    ordered = x.gather(-1, key.argsort(dim=-1, stable=True))
    logits = -exponent((ordered[..., :, None] - x[..., None, :]).abs(), eps[..., None])
    if mask is not None:
        logits = torch.where(mask[..., None, :], logits, torch.finfo(x.dtype).min)
    return torch.softmax(logits, -1)
