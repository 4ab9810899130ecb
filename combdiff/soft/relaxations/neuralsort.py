"""NeuralSort: a row-wise softmax relaxation of the sorting matrix."""

from __future__ import annotations

import torch
from torch import Tensor

from combdiff.soft.arguments import Mask, Matrices, Values
from combdiff.soft.permutahedron.formula import exponent


def neuralsort_matrix(x: Values, eps: Tensor, mask: Mask) -> Matrices:
    """The unimodal row-stochastic matrix softmax(((k + 1 − 2i) s − A 1) / ε), s = −x, A_jl = |s_j − s_l|, i = 1..n.

    k is the number of entries of the row that count.

    Source: Grover, Wang, Zweig & Ermon (2019), "Stochastic optimization of sorting networks via continuous
    relaxations", equation 5.

    >>> neuralsort_matrix(torch.tensor([[2.0, 1.0]]), torch.tensor([[1e-3]]), None)
    tensor([[[0., 1.],
             [1., 0.]]])
    """
    n = x.shape[-1]
    away = (x[..., :, None] - x[..., None, :]).abs()
    k: Tensor | int = n
    if mask is not None:
        away = torch.where(mask[..., None, :], away, 0.0)
        k = mask.sum(-1, keepdim=True)[..., None]
    place = torch.arange(1, n + 1, device=x.device)[:, None]
    logits = (2 * place - k - 1) * x[..., None, :] - away.sum(-1)[..., None, :]
    lowest = torch.finfo(x.dtype).min
    fixed = logits.detach()
    peak = (fixed if mask is None else torch.where(mask[..., None, :], fixed, lowest)).amax(-1, keepdim=True)
    logits = exponent(logits - peak, eps[..., None])
    if mask is not None:
        logits = torch.where(mask[..., None, :], logits, lowest)
    return torch.softmax(logits, -1)
