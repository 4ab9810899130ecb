"""Soft permutation matrices, for those who want the matrix: O(n²) memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from combdiff.soft.arguments import Eps, Mask, Matrices, Strength, Values, as_rows, check_options, strength_tensor
from combdiff.soft.ends import Ends, without_ends
from combdiff.soft.relaxations.lapsum import lapsum_matrix
from combdiff.soft.relaxations.network import network_matrix
from combdiff.soft.relaxations.neuralsort import neuralsort_matrix
from combdiff.soft.relaxations.sinkhorn import sinkhorn_matrix
from combdiff.soft.relaxations.softsort import softsort_matrix

MATRICES: dict[str, Callable[..., Tensor]] = {
    "neuralsort": neuralsort_matrix,
    "softsort": softsort_matrix,
    "sinkhorn": sinkhorn_matrix,
    "network": network_matrix,
    "network_cauchy": partial(network_matrix, comparator="cauchy"),
    "network_optimal": partial(network_matrix, comparator="optimal"),
    "bitonic": partial(network_matrix, layout="bitonic"),
    "bitonic_cauchy": partial(network_matrix, layout="bitonic", comparator="cauchy"),
    "bitonic_optimal": partial(network_matrix, layout="bitonic", comparator="optimal"),
}
PERMUTATIONS = {**MATRICES, "lapsum": lapsum_matrix}
"""every matrix; the first ones are also how these methods sort, rank and select"""


def soft_permutation(
    values: Float[Tensor, "*dims"],
    regularization_strength: Strength = 1.0,
    *,
    dim: int | None = -1,
    descending: bool = False,
    mask: Bool[Tensor, "*#dims"] | None = None,
    method: str = "neuralsort",
) -> Float[Tensor, "*batch n n"]:
    """A soft permutation matrix: entry (i, j) is the share of value j in sorted position i.

    `soft_permutation(x) @ x` is a soft sort of x. Every row sums to 1; with "sinkhorn", "lapsum", the networks and the
    bitonic ones every column does, too. For two values at a distance d all methods but "lapsum" (1 − ½ exp(−d/2ε)) and
    the monotonic networks give the larger one the share 1/(1 + exp(−d/ε)) of the upper place: ε means the same
    everywhere. ε = 0 is the hard permutation (equal values share their places, but not with the networks).

    Args:
        values, regularization_strength: (..., n, ...) and ε as in `soft_rank`, with its errors.
        dim: the dimension that is permuted; the result has the other ones first, then (n, n). None permutes all values.
        descending: the largest value first.
        mask: broadcasts to values, True where an entry counts. The others have a zero column, and as many of
            the last rows are zero.
        method: "neuralsort", "softsort", "sinkhorn" (optimal transport), "lapsum", "network" (odd-even) or "bitonic";
            the last two have logistic comparators, and with "_cauchy" or "_optimal" behind the name monotonic ones.

    Infinite values have the first and the last positions; equal ones share theirs. A row with a NaN becomes NaN.

    Sources: see the functions of each method.

    >>> x = torch.tensor([3.0, 1.0])
    >>> soft_permutation(x, 0.5)
    tensor([[0.0180, 0.9820],
            [0.9820, 0.0180]])
    """
    check_options(tuple(PERMUTATIONS), method, descending=descending)
    axis, rows, strength, valid = as_rows(values, dim, regularization_strength, mask)
    matrix = matrix_of(method, rows, strength, valid, descending).to(values.dtype)
    batch = [] if axis is None else [size for at, size in enumerate(values.shape) if at != axis]
    return matrix.reshape(*batch, *matrix.shape[-2:])


def matrix_of(method: str, x: Values, strength: Eps, mask: Mask, descending: bool) -> Matrices:
    """The matrix of each row."""
    kept, inside, ends = without_ends(x, mask, descending)
    return _matrix(method, kept, strength, inside, ends, descending)


def _matrix(method: str, kept: Tensor, strength: Eps, mask: Mask, ends: Ends | None, descending: bool) -> Matrices:
    """The matrix of each row; values, mask and ends of `without_ends`."""
    if kept.shape[-1] == 0:
        return kept[..., :, None] * kept[..., None, :]
    eps = strength_tensor(strength, kept).clamp(min=torch.finfo(kept.dtype).tiny)
    matrix: Tensor = PERMUTATIONS[method](-kept if descending else kept, eps, mask)
    if mask is not None:
        place = torch.arange(kept.shape[-1], device=kept.device)
        inside = (place < mask.sum(-1, keepdim=True))[..., :, None] & mask[..., None, :]
        matrix = torch.where(inside, matrix, 0.0)
    return matrix if ends is None else ends.place_matrix(matrix)


def matrix_and_sorted(method: str, x: Tensor, strength: Eps, mask: Mask, descending: bool) -> tuple[Matrices, Values]:
    """The matrix of each row, and its product with the values."""
    kept, inside, ends = without_ends(x, mask, descending)
    matrix = _matrix(method, kept, strength, inside, ends, descending)
    ordered = (matrix * kept[..., None, :]).sum(-1)  # no product of matrices: autocast would round it
    return matrix, ordered if ends is None else ends.fill_values(ordered, descending)


def matrix_ranks(method: str, x: Tensor, strength: Eps, mask: Mask, descending: bool) -> Values:
    """Ranks: the mean position of each entry under its column."""
    matrix = matrix_of(method, x, strength, mask, descending)
    place = torch.arange(1, x.shape[-1] + 1, device=x.device, dtype=x.dtype)
    total = matrix.sum(-2)
    mean = (place[:, None] * matrix).sum(-2) / torch.where(total > 0, total, 1.0)
    return mean if mask is None else torch.where(mask, mean, 0.0)
