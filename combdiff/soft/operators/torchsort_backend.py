"""The same operators by torchsort, where it is installed: a second implementation, and a cross-check."""

from __future__ import annotations

from torch import Tensor

from combdiff.soft.arguments import Eps, Values


def torchsort_backend(
    operator: str, x: Values, regularization: str, strength: Eps, mask: Tensor | None, descending: bool
) -> Values:
    """`torchsort.soft_rank` or `torchsort.soft_sort` of rows, with our `descending`.

    Raises:
        ImportError: torchsort is not installed.
        ValueError: for what torchsort does not offer: masks, ε = 0 and tensors as ε.
    """
    if mask is not None:
        raise ValueError("method='torchsort' takes no mask; method='pav' does")
    if isinstance(strength, Tensor) or strength == 0:
        raise ValueError(
            f"method='torchsort' needs a positive number as strength, not {strength}; method='pav' takes it"
        )
    try:
        import torchsort
    except ImportError:
        raise ImportError(
            "method='torchsort' needs torchsort, which is compiled when it is installed: "
            "pip install --no-build-isolation torchsort; or use method='pav', the same operator"
        ) from None
    result: Tensor = getattr(torchsort, operator)(-x if descending else x, regularization, strength)
    return -result if descending and operator == "soft_sort" else result
