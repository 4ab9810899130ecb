"""Where a solver layer meets torch's machinery: it is not compiled, and has no second derivative."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

REASON = "a solver runs outside of PyTorch: leave out fullgraph=True and torch.export"
F = TypeVar("F", bound=Callable[..., Any])


def not_compiled(function: F) -> F:
    """A solver cannot be traced: `torch.compile` leaves the function as it is, by a break in the graph.

    `torch.compiler.disable` imports the compiler, which takes as long as torch itself: it is called only under a trace.
    """
    disabled: Callable[..., Any] | None = None

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal disabled
        if torch.compiler.is_dynamo_compiling():
            if disabled is None:
                torch._dynamo.graph_break(msg=REASON)
                disabled = torch.compiler.disable(function, reason=REASON)  # type: ignore[no-untyped-call]
            return disabled(*args, **kwargs)
        return function(*args, **kwargs)

    return call  # type: ignore[return-value]


class _Refuse(torch.autograd.Function):
    """The identity, through which no gradient passes."""

    @staticmethod
    def forward(ctx: Any, source: Tensor) -> Tensor:
        return source.view_as(source)

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor, ...]:
        raise RuntimeError(
            "a solver layer has no second derivative: its gradient is an estimate that is not differentiable. "
            "Leave out create_graph=True, or detach the gradient (torch.autograd.functional.jvp differentiates twice: "
            "use vjp)"
        )


class _DependsOn(torch.autograd.Function):
    """A tensor that is known to depend on sources of the same shape, it does not say how."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, *sources: Tensor) -> Tensor:
        ctx.sources = len(sources)
        return tensor.view_as(tensor)

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor, ...]:
        return outer[0], *[outer[0]] * ctx.sources  # the sources refuse theirs


def first_order(gradient: Tensor, *sources: Tensor) -> Tensor:
    """A gradient that refuses to be differentiated with respect to `sources`, of its shape, on which autograd does not
    see it depend. Where it is linear in the incoming gradient, that derivative (a Jacobian times a vector) stays.

    `torch.autograd.function.once_differentiable` lets a gradient whose incoming gradient is constant pass as a
    constant, which is wrong in silence.
    """
    if not torch.is_grad_enabled():
        return gradient
    closed = [_Refuse.apply(source) for source in sources]  # type: ignore[no-untyped-call]
    refused: Tensor = _DependsOn.apply(gradient, *closed)  # type: ignore[no-untyped-call]
    return refused
