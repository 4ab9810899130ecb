"""Soft ranks."""

from __future__ import annotations

import warnings

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from combdiff.soft.arguments import Strength, as_rows, as_values, check_options
from combdiff.soft.operators.permutation import matrix_ranks
from combdiff.soft.operators.torchsort_backend import torchsort_backend
from combdiff.soft.permutahedron.kinds import RANK_KL, RANK_L2
from combdiff.soft.permutahedron.project import projected
from combdiff.soft.relaxations.lapsum import lapsum_ranks
from combdiff.soft.relaxations.sigmoid import sigmoid_ranks

METHODS = (
    *("pav", "torchsort", "lapsum", "neuralsort", "softsort", "sinkhorn"),
    *("network", "network_cauchy", "network_optimal"),
)
RANK_METHODS = (*METHODS, "sigmoid")


def soft_rank(
    values: Float[Tensor, "*dims"],
    regularization: str = "l2",
    regularization_strength: Strength = 1.0,
    *,
    dim: int | None = -1,
    descending: bool = False,
    mask: Bool[Tensor, "*#dims"] | None = None,
    method: str = "pav",
) -> Float[Tensor, "*dims"]:
    """Differentiable ranks: 1 for the smallest value, n for the largest, something between where values are close.

    With ρ = (n, ..., 1), P(ρ) the convex hull of its permutations, and ε the regularization strength,

        l2:  argmin over r ∈ P(ρ) of ½ ‖r − x/ε‖²            kl:  argmin over r ∈ P(ρ) of KL(r, exp(x/ε))

    Two values closer than about ε share their ranks, values further apart have the ranks 1, 2, 3, ... exactly; ε = 0
    (and every small enough ε) gives the hard ranks, ε → ∞ gives (n + 1)/2 to all. Equal values always have equal
    ranks. O(n log n). The gradient is exact, as are second derivatives; it is zero where the ranks are hard.

    Args:
        values: (..., n, ...), any float dtype. Half precision is computed in float32.
        regularization: "l2" or "kl"; of the methods "pav" and "torchsort", the others have one of their own.
        regularization_strength: ε ≥ 0: a number, a temperature schedule, or a tensor that broadcasts to values with
            size 1 at `dim` and may ask for a gradient.
        dim: the dimension to rank along; None ranks all values together.
        descending: 1 for the largest.
        mask: broadcasts to values, True where an entry counts. The others have rank 0 and no gradient, and what they
            hold (NaN too) does not matter.
        method: "pav", this projection; "torchsort", the same by that library; or another relaxation with the same
            meaning of ε, see `docs/soft.md`. "sigmoid" is for ranks alone.

    With every method but "torchsort" infinite values have hard ranks (equal ones share theirs) and no gradient, the
    finite values have ranks as without them, and a row with a NaN becomes NaN. Float16 holds no number above 65504:
    larger ranks are set to that, with a warning.

    Raises:
        TypeError: for values that are not floats, a mask that is not boolean, or a flag that is not True or False.
        ValueError: for a negative strength, shapes that do not fit, or an unknown word.

    Source: Blondel, Teboul, Berthet & Djolonga (2020), "Fast differentiable sorting and ranking", equation 6.

    >>> x = torch.tensor([0.3, 2.0, 0.1])
    >>> soft_rank(x, regularization_strength=0.1)
    tensor([2., 3., 1.])
    >>> soft_rank(x, regularization_strength=1.0)
    tensor([1.6000, 3.0000, 1.4000])
    >>> soft_rank(x, descending=True, mask=torch.tensor([True, True, False]))
    tensor([2., 1., 0.])
    """
    check_options(RANK_METHODS, method, regularization, descending=descending)
    axis, rows, strength, valid = as_rows(values, dim, regularization_strength, mask)
    if method == "pav":
        kind = RANK_L2 if regularization == "l2" else RANK_KL
        ranks = projected(rows, strength, valid, kind, -1 if descending else 1)
    elif method == "torchsort":
        ranks = torchsort_backend("soft_rank", rows, regularization, strength, valid, descending)
    elif method == "lapsum":
        ranks = lapsum_ranks(rows, strength, valid, descending)
    elif method == "sigmoid":
        ranks = sigmoid_ranks(rows, strength, valid, descending)
    else:
        ranks = matrix_ranks(method, rows, strength, valid, descending)
    if values.dtype == torch.float16 and rows.shape[-1] > 65504:
        warnings.warn(
            f"float16 holds no rank above 65504, and there are {rows.shape[-1]} values: the largest ranks are set to "
            "it; pass values.bfloat16() or values.float() to keep them",
            stacklevel=2,
        )
        ranks = ranks - (ranks - 65504.0).clamp(min=0.0).detach()
    ranks = as_values(ranks, values, axis)
    return ranks.reshape(values.shape) if axis is None else ranks
