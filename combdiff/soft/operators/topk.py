"""Soft top-k: which values are among the k largest, and what they are."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from combdiff.soft.arguments import Eps, Mask, Strength, as_rows, as_values, check_options, row_numbers
from combdiff.soft.operators.permutation import MATRICES, matrix_and_sorted, matrix_of
from combdiff.soft.operators.top_shares import top_shares
from combdiff.soft.permutahedron.kinds import SORT_KL, SORT_L2, TOP_KL, TOP_L2, TOP_LAPLACE
from combdiff.soft.permutahedron.project import projected
from combdiff.soft.relaxations.lapsum import lapsum_log_top, lapsum_sorted, lapsum_top
from combdiff.soft.transforms import concrete

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
    dim: int | None = -1,
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
        dim: the dimension to select along; None selects among all values, and returns the selected ones in one
            dimension.
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
    if isinstance(k, float | Tensor):
        raise TypeError(f"k={k!r} must be a whole number, as there are k values; soft_topk_mask takes fractions")
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
    shares = as_values(shares, values, axis)
    return TopK(as_values(top, values, axis), shares.reshape(values.shape) if axis is None else shares)


def soft_topk_mask(
    values: Float[Tensor, "*dims"],
    k: int | float | Float[Tensor, ...],
    regularization: str = "l2",
    regularization_strength: Strength = 1.0,
    *,
    dim: int | None = -1,
    largest: bool = True,
    mask: Bool[Tensor, "*#dims"] | None = None,
    method: str = "pav",
) -> Float[Tensor, "*dims"]:
    """The mask of `soft_topk` alone, for those who do not need the values: a fraction of its time.

    Arguments, formula and errors are those of `soft_topk`. With "lapsum" k may be a fraction: a float, or a tensor that
    broadcasts to values with size 1 at `dim`, to which a gradient flows (∂m_i/∂k = w_i / Σ w with the slopes w of the
    shares; where they are all 0, which is at k = 0 and k = n and among values far from each other, there is none).

    >>> import torch
    >>> soft_topk_mask(torch.tensor([3.0, 1.0, 2.2, 2.0]), 2)
    tensor([1.0000, 0.0000, 0.6000, 0.4000])
    >>> soft_topk_mask(torch.tensor([3.0, 1.0, 2.0]), 1.5, method="lapsum")
    tensor([0.8161, 0.1839, 0.5000])
    """
    check_options(TOPK_METHODS, method, regularization, largest=largest)
    axis, rows, strength, valid = as_rows(values, dim, regularization_strength, mask)
    shares = _shares(rows, places(k, values, axis, method), regularization, strength, valid, largest, method)
    shares = as_values(shares, values, axis)
    return shares.reshape(values.shape) if axis is None else shares


def soft_topk_log_mask(
    values: Float[Tensor, "*dims"],
    k: int | float | Float[Tensor, ...],
    regularization_strength: Strength = 1.0,
    *,
    dim: int | None = -1,
    largest: bool = True,
    mask: Bool[Tensor, "*#dims"] | None = None,
) -> Float[Tensor, "*dims"]:
    """The logarithm of `soft_topk_mask` by "lapsum", without underflow: values far from the first k have gradients.

    Arguments are those of `soft_topk_mask`. Entries that do not count have −∞, as has every entry for k = 0; a NaN
    makes its row NaN.

    Source: Struski et al. (2025), "LapSum: one method to differentiate them all".

    >>> import torch
    >>> soft_topk_log_mask(torch.tensor([0.0, 300.0, 900.0]), 2)
    tensor([-150.6931,   -0.0000,   -0.0000])
    """
    check_options(("lapsum",), "lapsum", largest=largest)
    axis, rows, strength, valid = as_rows(values, dim, regularization_strength, mask)
    k = places(k, values, axis, "lapsum")
    logs = lapsum_log_top(rows if largest else -rows, k, strength, valid) if rows.numel() else rows.clone()
    logs = as_values(logs, values, axis)
    return logs.reshape(values.shape) if axis is None else logs


def check_places(k: int | float, n: int | None = None) -> None:
    """k is between 0 and the number of values, where that is known."""
    if not k >= 0 or (n is not None and k > n):
        raise ValueError(f"k={k} is not between 0 and the number of values" + ("" if n is None else f", {n}"))


def places(k: int | float | Tensor, values: Tensor, axis: int | None, method: str) -> int | Tensor:
    """k, checked: a whole number, or a tensor (rows, 1) or (1, 1) of fractions."""
    n = values.numel() if axis is None else values.shape[axis]
    if not isinstance(k, float | Tensor):
        check_places(k, n)
        return k
    if method != "lapsum":
        raise TypeError(f"k={k!r}: the method {method!r} takes whole numbers; for fractions use method='lapsum'")
    if not isinstance(k, Tensor):
        k = torch.tensor(k, dtype=torch.float64)
    if not concrete(k):
        k = torch.where((k >= 0) & (k <= n), k, torch.nan)
    elif k.numel():
        check_places(float(k.detach().min()), n)
        check_places(float(k.detach().max()), n)
    return row_numbers("k", k.to(values.device, torch.float64), values, axis)


def _shares(rows: Tensor, k: int | Tensor, reg: str, strength: Eps, valid: Mask, largest: bool, method: str) -> Tensor:
    if isinstance(k, Tensor):
        return lapsum_top(rows if largest else -rows, k, strength, valid) if rows.numel() else rows.clone()
    if method in MATRICES:
        return matrix_of(method, rows, strength, valid, descending=largest)[..., :k, :].sum(-2)
    kind = TOP_LAPLACE if method == "lapsum" else TOP_L2 if reg == "l2" else TOP_KL
    return top_shares(rows if largest else -rows, k, strength, valid, kind)
