"""Soft top-k: which values are among the k largest, and what they are."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor

from combdiff.soft.arguments import Strength, as_rows, as_values, check_options
from combdiff.soft.operators.permutation import MATRICES, matrix_and_sorted, matrix_of
from combdiff.soft.operators.top_shares import top_shares
from combdiff.soft.permutahedron.kinds import SORT_KL, SORT_L2, TOP_KL, TOP_L2, TOP_LAPLACE
from combdiff.soft.permutahedron.project import projected
from combdiff.soft.relaxations.lapsum import lapsum_sorted

TOPK_METHODS = ("pav", "lapsum", *MATRICES)


class TopK(NamedTuple):
    """What `soft_topk` returns."""

    values: Tensor
    mask: Tensor


def soft_topk(
    values: Float[Tensor, "*dims"],
    k: int,
    regularization: str = "l2",
    regularization_strength: Strength = 1.0,
    *,
    dim: int = -1,
    largest: bool = True,
    mask: Bool[Tensor, "*#dims"] | None = None,
    method: str = "pav",
) -> TopK:
    """The k largest values, softly, and a mask in [0, 1] that sums to k and says how much each value is one of them.

    With K = {m : 0 ≤ m ≤ 1, Σ m = k}, the permutahedron of (1, ..., 1, 0, ..., 0),

        l2:  m = argmin over K of ½ ‖m − x/ε‖² = clip(x/ε − τ, 0, 1)
        kl:  m = argmin over K of KL(m, exp(x/ε)) = min(exp(x/ε − τ), 1)

    with the τ for which it sums to k; `soft_topk(x, 1)` is sparsemax or softmax of x/ε. The mask is exact (zeros and
    ones) once the k-th and the next value are ε apart (l2). The soft values are the first k of the descending
    `soft_sort` with the same words, whose ε has the unit 1/values for "pav".

    Args:
        values, regularization_strength: (..., n, ...) and ε as in `soft_rank`, with its errors.
        k: number of places, 0 ≤ k ≤ n. Where a mask leaves fewer values than k, all of them are in.
        regularization: "l2" or "kl"; of the method "pav".
        dim: the dimension to select along.
        largest: False for the k smallest.
        mask: broadcasts to values, True where an entry counts; the others have the share 0.
        method: "pav", this projection; "lapsum", Laplace distribution functions; or the first k rows of a matrix of
            `soft_permutation`.

    Returns:
        values: (..., k, ...), the largest first; 0 beyond the number of values that count.
        mask: of the shape of `values`. Where it alone is wanted, `soft_topk_mask` costs less.

    +inf takes a place for itself, −inf what nothing else takes; equal ones share. A row with a NaN becomes NaN.

    Raises:
        TypeError, ValueError: as `soft_rank`, and for a k out of range.

    Sources: Blondel et al. (2020), section 5 (projection onto the k-subset polytope); Struski et al. (2025) for lapsum.

    >>> import torch
    >>> soft_topk(torch.tensor([3.0, 1.0, 2.2, 2.0]), 2)
    TopK(values=tensor([3.0000, 2.2000]), mask=tensor([1.0000, 0.0000, 0.6000, 0.4000]))
    """
    check_options(TOPK_METHODS, method, regularization, largest=largest)
    axis, rows, strength, valid = as_rows(values, dim, regularization_strength, mask)
    check_places(k, rows.shape[-1])
    if method in MATRICES:
        matrix, ordered = matrix_and_sorted(method, rows, strength, valid, descending=largest)
        shares = matrix[..., :k, :].sum(-2)
    else:
        shares = _shares(rows, k, regularization, strength, valid, largest, method)
        if method == "lapsum":
            ordered = lapsum_sorted(rows, strength, valid, descending=largest)
        else:
            kind = SORT_L2 if regularization == "l2" else SORT_KL
            ordered = projected(rows, strength, valid, kind, 1 if largest else -1)
    top = ordered[..., :k]
    return TopK(as_values(top, values, axis), as_values(shares, values, axis))


def soft_topk_mask(
    values: Float[Tensor, "*dims"],
    k: int,
    regularization: str = "l2",
    regularization_strength: Strength = 1.0,
    *,
    dim: int = -1,
    largest: bool = True,
    mask: Bool[Tensor, "*#dims"] | None = None,
    method: str = "pav",
) -> Float[Tensor, "*dims"]:
    """The mask of `soft_topk` alone, for those who do not need the values: a fraction of its time.

    Arguments, formula and errors are those of `soft_topk`.

    >>> import torch
    >>> soft_topk_mask(torch.tensor([3.0, 1.0, 2.2, 2.0]), 2)
    tensor([1.0000, 0.0000, 0.6000, 0.4000])
    """
    check_options(TOPK_METHODS, method, regularization, largest=largest)
    axis, rows, strength, valid = as_rows(values, dim, regularization_strength, mask)
    check_places(k, rows.shape[-1])
    shares = _shares(rows, k, regularization, strength, valid, largest, method)
    return as_values(shares, values, axis)


def check_places(k: int, n: int | None = None) -> None:
    """k is between 0 and the number of values, where that is known."""
    if k < 0 or (n is not None and k > n):
        raise ValueError(f"k={k} is not between 0 and the number of values" + ("" if n is None else f", {n}"))


def _shares(
    rows: Tensor, k: int, reg: str, strength: float | Tensor, valid: Tensor | None, largest: bool, method: str
) -> Tensor:
    if method in MATRICES:
        return matrix_of(method, rows, strength, valid, descending=largest)[..., :k, :].sum(-2)
    kind = TOP_LAPLACE if method == "lapsum" else TOP_L2 if reg == "l2" else TOP_KL
    return top_shares(rows if largest else -rows, k, strength, valid, kind)
