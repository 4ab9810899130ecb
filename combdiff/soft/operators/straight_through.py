"""Hard values forward, soft gradients backward."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch

P = ParamSpec("P")
Result = TypeVar("Result")


def straight_through(operator: Callable[P, Result]) -> Callable[P, Result]:
    """A soft operator with the values of the hard one: those at ε = 0 forward, the gradients at the given ε backward.

        y = hard(x) + soft_ε(x) − stop_gradient(soft_ε(x))

    The gradient is biased: it is that of another function at a point where that one has another value. Where the task
    can take soft values, it had better train with them.

    Args:
        operator: any function of this package with a regularization strength (ranks, sorted values, top-k masks,
            permutation matrices, ...). Equal values share ranks and places as they do in that function at ε = 0; the
            hard values of the method "torchsort" are those of "pav".

    Returns:
        A function of the same arguments, which `stochastic` takes, too.

    Source: Bengio, Léonard & Courville (2013), "Estimating or propagating gradients through stochastic neurons".

    >>> from combdiff.soft import soft_rank
    >>> x = torch.tensor([0.3, 0.5, 0.1], requires_grad=True)
    >>> ranks = straight_through(soft_rank)(x, regularization_strength=1.0)
    >>> ranks
    tensor([2., 3., 1.], grad_fn=<AddBackward0>)
    >>> torch.autograd.grad(ranks[0], x)
    (tensor([ 0.6667, -0.3333, -0.3333]),)
    """
    signature = inspect.signature(operator)
    if "regularization_strength" not in signature.parameters:
        raise TypeError(f"{operator} has no argument regularization_strength, so no hard values")

    @functools.wraps(operator)
    def hard_forward(*args: P.args, **kwargs: P.kwargs) -> Result:
        soft: Any = operator(*args, **kwargs)
        given = signature.bind(*args, **kwargs)
        given.arguments["regularization_strength"] = 0.0
        if given.arguments.get("method") == "torchsort":
            given.arguments["method"] = "pav"
        with torch.no_grad():
            hard: Any = operator(*given.args, **given.kwargs)
        return _with_gradient(hard, soft)

    return hard_forward


def _with_gradient(hard: Any, soft: Any) -> Any:
    """Hard tensors with the gradients of the soft ones; of what is infinite there is none. NaN where either is NaN."""
    if isinstance(soft, tuple):
        return type(soft)(*(_with_gradient(*pair) for pair in zip(hard, soft, strict=True)))
    fixed = soft.detach()
    return hard + torch.where(hard.isinf() | fixed.isinf(), 0.0, soft - fixed)
