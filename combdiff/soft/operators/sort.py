"""Soft sort."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor

from combdiff.soft.arguments import Strength, as_rows, as_values, check_options
from combdiff.soft.operators.permutation import matrix_and_sorted
from combdiff.soft.operators.rank import METHODS
from combdiff.soft.operators.torchsort_backend import torchsort_backend
from combdiff.soft.permutahedron.kinds import SORT_KL, SORT_L2
from combdiff.soft.permutahedron.project import projected
from combdiff.soft.relaxations.lapsum import lapsum_sorted


def soft_sort(
    values: Float[Tensor, "*dims"],
    regularization: str = "l2",
    regularization_strength: Strength = 1.0,
    *,
    dim: int | None = -1,
    descending: bool = False,
    mask: Bool[Tensor, "*#dims"] | None = None,
    method: str = "pav",
) -> Float[Tensor, "*sorted"]:
    """Differentiable sort: the values in ascending order, neighbours that are far apart drawn together.

    With ρ = (n, ..., 1), P(x) the convex hull of the permutations of x, and ε the regularization strength, the
    descending sort is

        l2:  argmin over s ∈ P(x) of ½ ‖s − ρ/ε‖²            kl:  log of argmin over P(exp x) of KL(·, exp(ρ/ε))

    and the ascending sort of x is minus the descending sort of −x (for kl these two differ). Neighbours whose gap is
    below 1/ε are sorted exactly; ε = 0 (and every small enough ε) is the hard sort, ε → ∞ gives the mean (l2) or a
    constant (kl) everywhere. O(n log n). Unlike in the hard sort, every value of a block gets a part of the gradient.

    Args:
        values, regularization: (..., n, ...) and the others as in `soft_rank`, with its errors.
        regularization_strength: as there. Its unit is 1/values with the two projections, as in torchsort, and that of
            the values with the other methods.
        dim: as there; None gives the sorted values of all dimensions in one.
        descending: largest first.
        mask: broadcasts to values, True where an entry counts. Those come first; the rest of the result is 0.
        method: as there. "lapsum" is the product of LapSum's doubly stochastic matrix with the values, not the levels
            b_{i−½} that LapSum's own package calls a soft sort.

    With every method but "torchsort" infinite values are sorted exactly, to the ends, and take no part in the softness,
    and a row with a NaN becomes NaN.

    Source: Blondel, Teboul, Berthet & Djolonga (2020), "Fast differentiable sorting and ranking", equation 5.

    >>> import torch
    >>> x = torch.tensor([0.3, 2.0, 0.1])
    >>> soft_sort(x, regularization_strength=0.1)
    tensor([0.1000, 0.3000, 2.0000])
    >>> soft_sort(x, regularization_strength=1.0)
    tensor([0.1000, 0.6500, 1.6500])
    >>> soft_sort(x, mask=torch.tensor([True, False, True]))
    tensor([0.1000, 0.3000, 0.0000])
    """
    check_options(METHODS, method, regularization, descending=descending)
    axis, rows, strength, valid = as_rows(values, dim, regularization_strength, mask)
    if method == "pav":
        kind = SORT_L2 if regularization == "l2" else SORT_KL
        ordered = projected(rows, strength, valid, kind, 1 if descending else -1)
    elif method == "torchsort":
        ordered = torchsort_backend("soft_sort", rows, regularization, strength, valid, descending)
    elif method == "lapsum":
        ordered = lapsum_sorted(rows, strength, valid, descending)
    else:
        ordered = matrix_and_sorted(method, rows, strength, valid, descending)[1]
    return as_values(ordered, values, axis)
