"""The soft operators as modules: arguments at construction, values (and a mask) at the call."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor

from combdiff.soft.arguments import HasStrength, check_options
from combdiff.soft.operators.argmax import soft_argmax
from combdiff.soft.operators.argquantile import soft_argquantile
from combdiff.soft.operators.argsort import soft_argsort
from combdiff.soft.operators.permutation import PERMUTATIONS, soft_permutation
from combdiff.soft.operators.quantile import check_points, soft_median, soft_quantile
from combdiff.soft.operators.rank import METHODS, RANK_METHODS, soft_rank
from combdiff.soft.operators.sort import soft_sort
from combdiff.soft.operators.straight_through import straight_through
from combdiff.soft.operators.topk import TOPK_METHODS, check_places, soft_topk


class _Operator(HasStrength):
    """A soft operator with its arguments, in the same order as in the function.

    With the keyword `straight_through=True` the values are hard and the gradients soft (see `straight_through`).

    `regularization_strength`, also called `temperature`, may be changed between steps: a number, a schedule of
    `combdiff.temperature`, or an `nn.Parameter` to be learnt.

    Raises:
        TypeError: for an argument that the function does not have, or lacks.
        ValueError: for a value of an argument that the function refuses, whatever its values are.
    """

    operator: Callable[..., Any]
    methods: tuple[str, ...]

    def __init_subclass__(cls, operator: Any = None, methods: tuple[str, ...] = METHODS) -> None:
        if operator is not None:  # else it is a class derived from one of these
            cls.operator, cls.methods = staticmethod(operator), methods

    def __init__(self, *args: Any, straight_through: bool = False, **kwargs: Any) -> None:
        super().__init__()
        self.straight_through = straight_through
        try:
            bound = inspect.signature(type(self).operator).bind(None, *args, **kwargs)
            if "mask" in bound.arguments:
                raise TypeError("give the mask at the call")
        except TypeError as error:
            raise TypeError(f"{type(self).__name__}: {error}") from None
        self.kwargs = dict(list(bound.arguments.items())[1:])
        self.regularization_strength = self.kwargs.pop("regularization_strength", 1.0)
        bound.apply_defaults()
        flags = ("regularization", "descending", "largest", "keepdim")
        given = {name: bound.arguments[name] for name in flags if name in bound.arguments}
        check_options(self.methods, bound.arguments["method"], straight_through=straight_through, **given)
        if "k" in self.kwargs:
            check_places(self.kwargs["k"])
        if "q" in self.kwargs:
            check_points(self.kwargs["q"])

    def forward(self, values: Float[Tensor, "*dims"], mask: Bool[Tensor, "*#dims"] | None = None) -> Any:
        """The operator of the values; see the function of the same name."""
        strength = self.regularization_strength
        operator = straight_through(type(self).operator) if self.straight_through else type(self).operator
        return operator(values, regularization_strength=strength, mask=mask, **self.kwargs)

    @property
    def dim(self) -> int | None:
        """The dimension that is worked on; None for all."""
        return self.kwargs.get("dim", -1)

    def soften(self, values: Tensor, strength: Any, mask: Tensor | None = None) -> Tensor:
        """The operator at another strength (0: hard); of `soft_topk` the mask."""
        found = type(self).operator(values, regularization_strength=strength, mask=mask, **self.kwargs)
        return found[-1] if isinstance(found, tuple) else found

    def extra_repr(self) -> str:
        words = {**self.kwargs, "regularization_strength": self.regularization_strength}
        words |= {"straight_through": True} if self.straight_through else {}
        return ", ".join(f"{name}={value!r}" for name, value in words.items())


class SoftRank(_Operator, operator=soft_rank, methods=RANK_METHODS):
    """`soft_rank` as a module.

    >>> import torch
    >>> SoftRank(regularization_strength=0.1)(torch.tensor([0.3, 2.0, 0.1]))
    tensor([2., 3., 1.])
    """


class SoftSort(_Operator, operator=soft_sort):
    """`soft_sort` as a module (not to be mistaken for the method "softsort" of `soft_permutation`)."""


class SoftTopK(_Operator, operator=soft_topk, methods=TOPK_METHODS):
    """`soft_topk` as a module; the first argument is k."""


class SoftQuantile(_Operator, operator=soft_quantile):
    """`soft_quantile` as a module; the first argument is q."""


class SoftMedian(_Operator, operator=soft_median):
    """`soft_median` as a module."""


class SoftArgmax(_Operator, operator=soft_argmax, methods=TOPK_METHODS):
    """`soft_argmax` as a module."""


class SoftPermutation(_Operator, operator=soft_permutation, methods=tuple(PERMUTATIONS)):
    """`soft_permutation` as a module."""


class SoftArgsort(_Operator, operator=soft_argsort, methods=tuple(PERMUTATIONS)):
    """`soft_argsort` as a module."""


class SoftArgquantile(_Operator, operator=soft_argquantile, methods=tuple(PERMUTATIONS)):
    """`soft_argquantile` as a module; the first argument is q."""
