"""`projected(x, ...)`: the projection onto the permutahedron as one differentiable torch operation.

Three routes with one meaning:

- CPU tensors, not compiled: an `autograd.Function` around the compiled kernels (the leanest there is);
- inside `torch.compile`, `make_fx` and on other devices: the operator `torch.ops.combdiff.soft_project`, with fake,
  autograd and vmap rules; it copies values of other devices to the CPU and its results back;
- inside `torch.func` transforms, forward mode, and for derivatives of order two or with respect to ε: the formula of
  `formula`, with the operator's blocks as constants.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from combdiff.soft.arguments import Eps, Mask, Values
from combdiff.soft.permutahedron import compiled
from combdiff.soft.permutahedron.formula import evaluate, working
from combdiff.soft.transforms import transformed

Gradients = tuple[Tensor | None, Tensor | None]


def by_formula(
    formula: Callable[[Tensor, Tensor], Tensor], x: Tensor, strength: Eps, grad_out: Tensor, wanted: tuple[bool, bool]
) -> Gradients:
    """Gradients with respect to x and ε through a formula of them; differentiable again in a graph that is kept."""
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        if not again:
            x = x.detach().requires_grad_(wanted[0])
            strength = strength.detach().requires_grad_(wanted[1]) if isinstance(strength, Tensor) else strength
        eps = _strength_tensor(strength, x)
        inputs = [part for part, want in zip((x, eps), wanted, strict=True) if want]
        found = list(torch.autograd.grad(formula(x, eps), inputs, grad_out, create_graph=again))
    return found.pop(0) if wanted[0] else None, found.pop(0) if wanted[1] else None


def _gradients(
    x: Tensor,
    strength: Eps,
    mask: Tensor | None,
    kind: int,
    sign: int,
    out: Tensor,
    block: Tensor,
    grad_out: Tensor,
    wanted: tuple[bool, bool],
) -> Gradients:
    """Gradients with respect to x and ε: by a kernel if only the first one of x is asked for, else by the formula."""
    if torch.is_grad_enabled() or wanted[1] or not compiled.serves(x):
        parts = mask, kind, sign, out, block
        return by_formula(lambda x, eps: evaluate(x, eps.to(x.device), *parts), x, strength, grad_out, wanted)
    # (or inside the vmap of `torch.autograd.grad(..., is_grads_batched=True)`)
    if type(grad_out) is Tensor and not torch._C._functorch.is_legacy_batchedtensor(grad_out):
        return compiled.pull_back(x, strength, kind, sign, out, block, grad_out), None
    eps = _strength_tensor(strength, x)
    return torch.ops.combdiff.soft_pull_back(x, eps, mask, kind, sign, out, block, grad_out), None


def _backward(ctx: Any, grad_out: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
    x, eps, mask, out, state = ctx.saved_tensors
    strength, kind, key, gradients = ctx.rest
    wanted = ctx.needs_input_grad
    found = gradients(x, strength if eps is None else eps, mask, kind, key, out, state, grad_out, wanted[:2])
    return (*found, *(None for _ in wanted[2:]))


class _Compiled(torch.autograd.Function):
    """The route that is not compiled by torch: CPU rows, compiled kernel, first gradients from what it keeps."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: Eps, mask: Tensor | None, kind: int, key: int, gradients: Any) -> Tensor:
        out, state = compiled.project(x, strength, mask, kind, key)
        of_tensor = isinstance(strength, Tensor)
        ctx.save_for_backward(x, strength if of_tensor else None, mask, out, state)
        ctx.rest = None if of_tensor else strength, kind, key, gradients
        return out

    backward = staticmethod(_backward)


def by_kernel(
    x: Tensor, strength: Eps, mask: Tensor | None, kind: int, key: int, gradients: Callable[..., Gradients] = _gradients
) -> Tensor:
    """The result of `compiled.project`, and its gradients by the function given."""
    x = x.contiguous()
    if torch.is_grad_enabled() and (x.requires_grad or (isinstance(strength, Tensor) and strength.requires_grad)):
        found: Tensor = _Compiled.apply(x, strength, mask, kind, key, gradients)  # type: ignore[no-untyped-call]
        return found
    return compiled.project(x, strength, mask, kind, key)[0]


@torch.library.custom_op(
    "combdiff::soft_project",
    mutates_args=(),
    schema="(Tensor x, Tensor strength, Tensor? mask, int kind, int sign) -> (Tensor, Tensor)",
)
def soft_project(x: Tensor, strength: Tensor, mask: Tensor | None, kind: int, sign: int) -> tuple[Tensor, Tensor]:
    """The projection of each row of x (rows, n), and the block of each entry (int32)."""
    valid = None if mask is None else mask.cpu().contiguous()
    out, block = compiled.project(x.cpu().contiguous(), strength.cpu(), valid, kind, sign)
    return out.to(x.device), block.to(x.device)


@soft_project.register_fake
def _(x: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), x.new_empty(x.shape, dtype=torch.int32)


@torch.library.custom_op(
    "combdiff::soft_pull_back",
    mutates_args=(),
    schema="(Tensor x, Tensor strength, Tensor? mask, int kind, int sign, Tensor out, Tensor block, "
    "Tensor grad_out) -> Tensor",
    device_types="cpu",
)
def soft_pull_back(x: Tensor, strength: Tensor, mask: Tensor | None, kind: int, sign: int, *rest: Tensor) -> Tensor:
    """The product of `grad_out` with the Jacobian of the projection with respect to x; by kernels, so on CPUs only."""
    return compiled.pull_back(x.contiguous(), strength, kind, sign, *(part.contiguous() for part in rest))


@soft_pull_back.register_fake
def _(x: Tensor, *_: Any) -> Tensor:
    return x.new_empty(x.shape)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, strength, mask, kind, sign = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(x, strength, mask, *output)
    ctx.rest = None, kind, sign, _gradients


torch.library.register_autograd("combdiff::soft_project", _backward, setup_context=_setup)


def _mapped(operator: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """The vmap rule of an operator on rows: the mapped dimension becomes rows; tensors that have none are repeated."""

    def rule(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[Any, Any]:
        x = inputs[0] if in_dims[0] is None else inputs[0].movedim(in_dims[0], 0)
        batch, rows = info.batch_size, x.shape[-2]

        def folded(value: Tensor, dim: int | None) -> Tensor:
            every = value.movedim(dim, 0) if dim is not None else value.expand(batch, *value.shape)
            return every.expand(batch, rows, every.shape[-1]).reshape(batch * rows, every.shape[-1])

        pairs = zip(inputs, in_dims, strict=True)
        found = operator(*(folded(part, dim) if isinstance(part, Tensor) else part for part, dim in pairs))
        if isinstance(found, Tensor):
            return found.view(batch, *x.shape[-2:]), 0
        return tuple(part.view(batch, *x.shape[-2:]) for part in found), (0, 0)

    return rule


soft_project.register_vmap(_mapped(torch.ops.combdiff.soft_project))
soft_pull_back.register_vmap(_mapped(torch.ops.combdiff.soft_pull_back))


def projected(x: Values, strength: Eps, mask: Mask, kind: int, sign: int) -> Values:
    """The projection of each row.

    Args:
        x: float32 or float64.
        strength: ε, a number or a tensor (rows, 1) or (1, 1).
        mask: which entries count.
        kind: RANK_L2, SORT_L2, RANK_KL or SORT_KL of `kinds`.
        sign: +1 or −1: t = sign · x is walked downwards.
    """
    if not torch.compiler.is_compiling():
        if transformed():
            eps = _strength_tensor(strength, x)
            out, block = torch.ops.combdiff.soft_project(x.detach(), eps.detach(), mask, kind, sign)
            return evaluate(x, eps, mask, kind, sign, out, block)
        if compiled.serves(x) and type(x) in (Tensor, torch.nn.Parameter):
            return by_kernel(x, strength, mask, kind, sign)
    return torch.ops.combdiff.soft_project(x, _strength_tensor(strength, x), mask, kind, sign)[0]


def _strength_tensor(strength: Eps, x: Tensor) -> Tensor:
    if isinstance(strength, Tensor):
        return strength
    return torch.full((1, 1), strength, dtype=working(x).dtype, device=x.device)
