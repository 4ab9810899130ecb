"""Ranks as sums of sigmoids, one for each pair."""

from __future__ import annotations

import torch

from combdiff.soft.arguments import Eps, Mask, Values, strength_tensor
from combdiff.soft.ends import without_ends
from combdiff.soft.permutahedron.formula import exponent, working


def sigmoid_ranks(x: Values, strength: Eps, mask: Mask, descending: bool) -> Values:
    """Ranks 1 + Σ_{j ≠ i} 1/(1 + exp(−(x_i − x_j)/ε)), ascending; arguments as of `soft_rank`, in rows.

    Of two values the larger one has the share of the upper place that it has with all methods. O(n²).

    Source: Qin, Liu & Li (2010), "A general approximation framework for direct optimization of information retrieval
    measures", equation 11; Brown et al. (2020), "Smooth-AP", equation 6.

    >>> sigmoid_ranks(torch.tensor([[2.0, 1.0]]), 1e-3, None, descending=False)
    tensor([[2., 1.]])
    """
    x, mask, ends = without_ends(x, mask, descending)
    z = working(-x if descending else x)
    eps = strength_tensor(strength, z).clamp(min=1e-100)  # slopes of equal values, 1/(4ε), cancel while they are finite
    above = torch.sigmoid(exponent(z[..., :, None] - z[..., None, :], eps[..., None]))  # ½ beside itself
    if mask is not None:
        above = torch.where(mask[..., None, :], above, 0.0)
    ranks = 0.5 + above.sum(-1)
    ranks = (ranks if mask is None else torch.where(mask, ranks, 0.0)).to(x.dtype)
    return ranks if ends is None else ends.place_ranks(ranks)
