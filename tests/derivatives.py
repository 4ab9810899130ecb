"""Derivatives of functions of rows against differences, all differences in one batch."""

# mypy: disable-error-code="no-untyped-call"
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Function = Callable[..., Tensor]
STEP, ATOL, RTOL = 1e-6, 1e-5, 1e-3  # as torch.autograd.gradcheck has them


def check_derivatives(f: Function, inputs: Sequence[Tensor], second: Function | None = None) -> None:
    """Compare as `gradcheck` does the first derivatives of f, and as `gradgradcheck` does those of `second`.

    Both functions take inputs with one more leading dimension and treat what lies along it apart, as soft operators
    do: so one call has all differences, where `gradcheck` makes two calls for each entry of the inputs.

    >>> rows = [torch.tensor([[0.5, -1.0], [2.0, 0.3]], dtype=torch.float64)]
    >>> check_derivatives(lambda x: x.cumsum(-1), rows, lambda x: x.cumsum(-1).sin())
    >>> check_derivatives(lambda x: x.detach() + x.sin(), rows)
    Traceback (most recent call last):
        ...
    AssertionError: Tensor-likes are not close!
    ...
    """
    inputs = [value.detach() for value in inputs]
    _check(f, inputs)
    if second is not None:
        shape = second(*inputs).shape
        weights = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(17))
        _check(_gradients(second, inputs), [*inputs, weights])


def _gradients(f: Function, inputs: Sequence[Tensor]) -> Function:
    """The derivatives of ⟨weights, f⟩ in all inputs, as one flat vector for each entry of the leading dimension."""

    def gradients(*values: Tensor) -> Tensor:
        *leaves, weights = (value if value.requires_grad else value.detach().requires_grad_() for value in values)
        found = torch.autograd.grad(f(*leaves), leaves, weights, create_graph=True, materialize_grads=True)
        leads = [part.shape[: part.ndim - own.ndim] for part, own in zip(found, inputs, strict=True)]
        return torch.cat([part.reshape(*lead, -1) for part, lead in zip(found, leads, strict=True)], -1)

    return gradients


def _check(f: Function, inputs: Sequence[Tensor]) -> None:
    flat, sizes = torch.cat([value.flatten() for value in inputs]), [value.numel() for value in inputs]

    def call(rows: Tensor) -> Tensor:
        parts = zip(rows.split(sizes, -1), inputs, strict=True)
        return f(*(part.unflatten(-1, value.shape) for part, value in parts)).flatten(1)

    steps = STEP * torch.eye(len(flat), dtype=flat.dtype)
    up, down = call(torch.cat([flat + steps, flat - steps])).detach().chunk(2)
    numeric = (up - down) / (2 * STEP)  # shape: (inputs, outputs)
    leaf = flat.repeat(numeric.shape[1], 1).requires_grad_()
    found = call(leaf)
    torch.testing.assert_close(found[0], f(*inputs).flatten())
    (exact,) = torch.autograd.grad(found, leaf, torch.eye(len(found), dtype=found.dtype))
    torch.testing.assert_close(exact.T, numeric, atol=ATOL, rtol=RTOL)
