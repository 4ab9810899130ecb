"""Where a method meets torch's machinery: one node with a known gradient, no second derivative, no compilation."""

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


def with_vjp(
    value: Tensor, vjp: Callable[..., Tensor], source: Tensor, *saved: Tensor | None, linear: bool = True
) -> Tensor:
    """A value that is a function of `source`, whose vector-Jacobian product is `vjp(gradient, source, *saved)`.

    The derivative of that product by `source` is refused: an estimate has no second derivative, and autograd does not
    see how it depends on `source`. Its derivative by the incoming gradient, in which it is linear (a Jacobian times a
    vector), stays.

    Args:
        value: a new tensor, none of `saved`.
        vjp: from ∂L/∂value to ∂L/∂source.
        source: what the value is a function of.
        saved: what `vjp` is given beside.
        linear: False where the product is not linear in the incoming gradient: that derivative is refused, too.

    >>> x = torch.tensor([3.0, 4.0], requires_grad=True)
    >>> with_vjp(torch.tensor([9.0, 16.0]), lambda gradient, x: 2 * x * gradient, x).sum().backward()
    >>> x.grad
    tensor([6., 8.])
    """
    if not (source.requires_grad and torch.is_grad_enabled()):
        return value
    return _Known.apply(value, vjp, linear, source, *saved)  # type: ignore[no-untyped-call]


def with_gradient(value: Tensor, gradient: Tensor, source: Tensor) -> Tensor:
    """A value for each row of `source`, (b,), or one for all of them, whose gradient (b, n) is known."""
    return with_vjp(value, _times_gradient, source, gradient)


def with_slope(value: Tensor, slope: Tensor, source: Tensor) -> Tensor:
    """The same of a value that is linear in `source` near it: its second derivative is zero.

    Two of torch's own nodes, whose value is overwritten, take less time than one in Python.
    """
    if not (source.requires_grad and torch.is_grad_enabled()):
        return value
    product = source * slope
    found = product.sum(-1) if value.ndim else product.sum()
    found.detach().copy_(value)
    return found


def _times_gradient(outer: Tensor, source: Tensor, gradient: Tensor) -> Tensor:
    return (outer.unsqueeze(-1) if outer.ndim else outer) * gradient


class _Known(torch.autograd.Function):
    """A value with a known vector-Jacobian product."""

    @staticmethod
    def forward(
        ctx: Any, value: Tensor, vjp: Callable[..., Tensor], linear: bool, source: Tensor, *saved: Tensor | None
    ) -> Tensor:
        ctx.save_for_backward(source, *saved)
        ctx.mark_dirty(value)  # it becomes the output itself; returned as it is, it would be a view
        ctx.vjp, ctx.linear = vjp, linear
        return value

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        source, *saved = ctx.saved_tensors
        product = ctx.vjp(outer[0], source, *saved)
        if torch.is_grad_enabled():
            # once_differentiable would let a product whose incoming gradient is constant pass as a constant
            closed = [_Refuse.apply(part) for part in (source, outer[0])[: 1 if ctx.linear else 2]]  # type: ignore[no-untyped-call]
            product = _DependsOn.apply(product, *closed)  # type: ignore[no-untyped-call]
        return None, None, None, product, *[None] * len(saved)


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
    """A tensor that is known to depend on sources, it does not say how."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, *sources: Tensor) -> Tensor:
        ctx.sources = sources
        return tensor.view_as(tensor)

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor, ...]:
        return outer[0], *[torch.zeros_like(source) for source in ctx.sources]  # the sources refuse theirs
