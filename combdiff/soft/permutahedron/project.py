"""`projected(x, ...)`: the projection onto the permutahedron as one differentiable torch operation.

Three routes with one meaning:

- CPU tensors, not compiled: an `autograd.Function` around the compiled kernels (the leanest there is);
- inside `torch.compile`, `make_fx` and on other devices: the operator `torch.ops.combdiff.soft_project`, with fake,
  autograd and vmap rules;
- inside `torch.func` transforms, forward mode, and for derivatives of order two or with respect to ε: the formula of
  `formula`, with the operator's blocks as constants.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from combdiff.soft.permutahedron import compiled
from combdiff.soft.permutahedron.formula import evaluate, working
from combdiff.soft.permutahedron.hull import project_anywhere
from combdiff.soft.transforms import transformed


def _gradients(
    x: Tensor,
    strength: Tensor | float,
    mask: Tensor | None,
    kind: int,
    sign: int,
    out: Tensor,
    block: Tensor,
    grad_out: Tensor,
    wanted: tuple[bool, bool],
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients with respect to x and ε: by a kernel if only the first one of x is asked for, else by the formula."""
    again = torch.is_grad_enabled()
    if not again and not wanted[1] and compiled.serves(x):
        if type(grad_out) is Tensor and not _mapped(grad_out):
            return compiled.pull_back(x, strength, kind, sign, out, block, grad_out), None
        eps = _strength_tensor(strength, x)
        return torch.ops.combdiff.soft_pull_back(x, eps, mask, kind, sign, out, block, grad_out), None
    with torch.enable_grad():
        if not again:
            x = x.detach().requires_grad_(wanted[0])
            strength = strength.detach().requires_grad_(wanted[1]) if isinstance(strength, Tensor) else strength
        eps = _strength_tensor(strength, x)
        y = evaluate(x, eps.to(x.device), mask, kind, sign, out, block)
        inputs = [part for part, want in zip((x, eps), wanted, strict=True) if want]
        found = list(torch.autograd.grad(y, inputs, grad_out, create_graph=again))
    return found.pop(0) if wanted[0] else None, found.pop(0) if wanted[1] else None


def _mapped(grad_out: Tensor) -> bool:
    """Inside the vmap of `torch.autograd.grad(..., is_grads_batched=True)`."""
    return bool(torch._C._functorch.is_legacy_batchedtensor(grad_out))


class _Projection(torch.autograd.Function):
    """The route that is not compiled: CPU rows, compiled forward, compiled first gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: Tensor | float, mask: Tensor | None, kind: int, sign: int) -> Tensor:
        out, block = compiled.project(x, strength, mask, kind, sign)
        of_tensor = isinstance(strength, Tensor)
        ctx.save_for_backward(x, strength if of_tensor else None, mask, out, block)
        ctx.rest = None if of_tensor else strength, kind, sign
        return out

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        x, eps, mask, out, block = ctx.saved_tensors
        strength, kind, sign = ctx.rest
        eps = strength if eps is None else eps
        wanted = ctx.needs_input_grad[:2]
        return (*_gradients(x, eps, mask, kind, sign, out, block, grad_out, wanted), None, None, None)


@torch.library.custom_op(
    "combdiff::soft_project",
    mutates_args=(),
    schema="(Tensor x, Tensor strength, Tensor? mask, int kind, int sign) -> (Tensor, Tensor)",
)
def soft_project(x: Tensor, strength: Tensor, mask: Tensor | None, kind: int, sign: int) -> tuple[Tensor, Tensor]:
    """The projection of each row of x (rows, n), and the block of each entry (int32)."""
    if compiled.serves(x):
        return compiled.project(x.contiguous(), strength, None if mask is None else mask.contiguous(), kind, sign)
    return project_anywhere(x, strength.to(x.device), mask, kind, sign)


@soft_project.register_fake
def _(x: Tensor, strength: Tensor, mask: Tensor | None, kind: int, sign: int) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), x.new_empty(x.shape, dtype=torch.int32)


@torch.library.custom_op(
    "combdiff::soft_pull_back",
    mutates_args=(),
    schema="(Tensor x, Tensor strength, Tensor? mask, int kind, int sign, Tensor out, Tensor block, "
    "Tensor grad_out) -> Tensor",
    device_types="cpu",
)
def soft_pull_back(
    x: Tensor,
    strength: Tensor,
    mask: Tensor | None,
    kind: int,
    sign: int,
    out: Tensor,
    block: Tensor,
    grad_out: Tensor,
) -> Tensor:
    """The product of `grad_out` with the Jacobian of the projection with respect to x; by kernels, so on CPUs only."""
    return compiled.pull_back(x.contiguous(), strength, kind, sign, out.contiguous(), block.contiguous(), grad_out)


@soft_pull_back.register_fake
def _(
    x: Tensor,
    strength: Tensor,
    mask: Tensor | None,
    kind: int,
    sign: int,
    out: Tensor,
    block: Tensor,
    grad_out: Tensor,
) -> Tensor:
    return x.new_empty(x.shape)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, strength, mask, kind, sign = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(x, strength, mask, *output)
    ctx.rest = kind, sign


def _op_backward(ctx: Any, grad_out: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    x, strength, mask, out, block = ctx.saved_tensors
    kind, sign = ctx.rest
    wanted = ctx.needs_input_grad[:2]
    return (*_gradients(x, strength, mask, kind, sign, out, block, grad_out, wanted), None, None, None)


torch.library.register_autograd("combdiff::soft_project", _op_backward, setup_context=_setup)


def _fold(batch: int, like: Tensor, tensors: tuple[Any, ...], dims: tuple[Any, ...]) -> list[Any]:
    """Fold the mapped dimension of every tensor of rows into its rows; tensors that have none are repeated."""
    folded: list[Any] = []
    for value, dim in zip(tensors, dims, strict=True):
        if not isinstance(value, Tensor):
            folded.append(value)
            continue
        every = value.movedim(dim, 0) if dim is not None else value.expand(batch, *value.shape)
        rows = like.shape[-2]
        folded.append(every.expand(batch, rows, every.shape[-1]).reshape(batch * rows, every.shape[-1]))
    return folded


@soft_project.register_vmap
def _(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
    x = inputs[0] if in_dims[0] is None else inputs[0].movedim(in_dims[0], 0)
    out, block = torch.ops.combdiff.soft_project(*_fold(info.batch_size, x, inputs, in_dims))
    shape = (info.batch_size, *x.shape[-2:])
    return (out.view(shape), block.view(shape)), (0, 0)


@soft_pull_back.register_vmap
def _(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[Tensor, int]:
    x = inputs[0] if in_dims[0] is None else inputs[0].movedim(in_dims[0], 0)
    grad = torch.ops.combdiff.soft_pull_back(*_fold(info.batch_size, x, inputs, in_dims))
    return grad.view(info.batch_size, *x.shape[-2:]), 0


def projected(
    x: Float[Tensor, "rows n"],
    strength: Tensor | float,
    mask: Bool[Tensor, "rows n"] | None,
    kind: int,
    sign: int,
) -> Float[Tensor, "rows n"]:
    """The projection of each row.

    Args:
        x: float32 or float64.
        strength: ε, a number or a tensor (rows, 1) or (1, 1).
        mask: which entries count.
        kind: RANK_L2, SORT_L2, RANK_KL or SORT_KL of `kinds`.
        sign: +1 or −1: t = sign · x is walked downwards.
    """
    if torch.compiler.is_compiling():
        return _by_operator(x, strength, mask, kind, sign)
    if transformed():
        eps = _strength_tensor(strength, x)
        out, block = torch.ops.combdiff.soft_project(x.detach(), eps.detach(), mask, kind, sign)
        return evaluate(x, eps, mask, kind, sign, out, block)
    if not compiled.serves(x) or type(x) not in (Tensor, torch.nn.Parameter):
        return _by_operator(x, strength, mask, kind, sign)
    x = x.contiguous()
    if torch.is_grad_enabled() and (x.requires_grad or (isinstance(strength, Tensor) and strength.requires_grad)):
        found: Tensor = _Projection.apply(x, strength, mask, kind, sign)  # type: ignore[no-untyped-call]
        return found
    return compiled.project(x, strength, mask, kind, sign)[0]


def _strength_tensor(strength: Tensor | float, x: Tensor) -> Tensor:
    if isinstance(strength, Tensor):
        return strength
    return torch.full((1, 1), strength, dtype=working(x).dtype, device=x.device)


def _by_operator(x: Tensor, strength: Tensor | float, mask: Tensor | None, kind: int, sign: int) -> Tensor:
    return torch.ops.combdiff.soft_project(x, _strength_tensor(strength, x), mask, kind, sign)[0]
