"""`mixed`: the unit vectors that the mixing method ends with, as a function of C and of the vectors that are fixed."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from combdiff._bridge import run_kernel
from combdiff.autograd import with_vjp
from combdiff.satnet.mixing_kernels import descend, solve_adjoint

Gram = Float[Tensor, "n n"]
Free = Bool[Tensor, "b n"]
Vectors = Float[Tensor, "b n k"]
Norms = Float[Tensor, "b n"]


def mixed(gram: Gram, start: Vectors, free: Free, most: int, eps: float, prox: float) -> Vectors:
    """V after coordinate descent on Σ_ij c_ij ⟨v_i, v_j⟩ over unit vectors.

    A step is v_i = −g_i/‖g_i‖ with g_i = Σ_{j≠i} c_ij v_j.

    The gradient is that of the fixed point to which the descent goes. With P_i = I − v_i v_iᵀ, u_i of the free
    variables solves (‖g_i‖ + prox) u_i + P_i Σ_{j≠i} c_ij u_j = −P_i ∂L/∂v_i, by the same coordinate steps; then
    ∂L/∂c_ij = ⟨u_i, v_j⟩, and ∂L/∂v_j = Σ_i c_ij u_i for fixed v_j, beside what is passed through.

    Args:
        gram: C, symmetric; its diagonal counts for nothing.
        start: where the descent begins; vectors that are not free stay.
        free: which vectors move.
        most: sweeps over the free variables at most, of the descent and of the linear system.
        eps: a sweep is the last one that gains at most this share of what the first one gained.
        prox: 0 for the exact derivative; more makes the system well conditioned.
    """
    with torch.no_grad():
        vectors, norms = _descend(gram, start, free, most, eps)
    size = gram.numel()

    def vjp(gradient: Tensor, source: Tensor, vectors: Tensor, norms: Tensor, free: Tensor) -> Tensor:
        with torch.no_grad():
            gram = source[:size].view(norms.shape[1], -1)
            adjoint = _solve_adjoint(gram, vectors, norms, free, gradient, most, eps, prox)
            of_gram = torch.einsum("bik,bjk->ij", adjoint, vectors)  # (its diagonal is 0: u_i is across v_i)
            if not fixed_learns:
                return of_gram.flatten()
            of_fixed = (gradient + gram @ adjoint).masked_fill(free[..., None], 0.0)
            return torch.cat([of_gram.flatten(), of_fixed.flatten()])

    fixed_learns = start.requires_grad
    source = torch.cat([gram.flatten(), start.flatten()]) if fixed_learns else gram.flatten()
    # (the kernels see no graph, so that the derivative by the incoming gradient is refused, too)
    return with_vjp(vectors, vjp, source, vectors, norms, free, linear=False)


def _descend(gram: Gram, start: Vectors, free: Free, most: int, eps: float) -> tuple[Vectors, Norms]:
    """V, and ‖g_i‖ of the free variables."""
    vectors, norms = start.detach().clone(memory_format=torch.contiguous_format), start.new_zeros(free.shape)
    if start.device.type == "cpu":
        sweeps = torch.zeros(len(start), dtype=torch.int64)
        arguments = gram.detach().contiguous(), free.contiguous(), vectors, norms, most, eps, sweeps
        run_kernel(descend, len(start), *arguments, grain=1)
        return vectors, norms
    return vectors, _sweep(gram, free, vectors, None, norms, most, eps, 0.0)


def _solve_adjoint(
    gram: Gram, vectors: Vectors, norms: Norms, free: Free, gradient: Vectors, most: int, eps: float, prox: float
) -> Vectors:
    """U; 0 where a variable is not free."""
    adjoint = torch.zeros_like(vectors)
    if vectors.device.type == "cpu":
        parts = gram.contiguous(), free.contiguous(), vectors, norms, gradient.contiguous(), adjoint, most, eps, prox
        run_kernel(solve_adjoint, len(vectors), *parts, grain=1)
    else:
        _sweep(gram, free, adjoint, (vectors, gradient), norms, most, eps, prox)
    return adjoint


def _sweep(
    gram: Gram, free: Free, moving: Vectors, adjoint: tuple[Vectors, Vectors] | None, norms: Norms, most: int,
    eps: float, prox: float,
) -> Norms:  # fmt: skip
    """What both kernels do, in torch operations that run on any device, a launch for each step: slow.

    Args:
        moving: V; of the adjoint system U. It is written.
        adjoint: V and ∂L/∂V of the adjoint system.
    """
    weights = gram.detach().clone().fill_diagonal_(0.0)
    norms, going = norms.clone(), torch.ones_like(free[:, 0])
    first = torch.zeros_like(norms[:, 0])
    for sweep in range(most):
        gained = torch.zeros_like(first)
        for i in range(len(gram)):
            g = torch.einsum("j,bjk->bk", weights[i], moving)
            if adjoint is None:
                norm = g.norm(dim=1)
            else:
                v, g, norm = adjoint[0][:, i], g + adjoint[1][:, i], norms[:, i] + prox
                g = g - (g * v).sum(1, keepdim=True) * v
            moves = free[:, i] & going & (norm > 0)
            change = torch.where(moves[:, None], -g / norm[:, None] - moving[:, i], 0.0)
            moving[:, i] += change
            gained += torch.where(moves, norm * change.square().sum(1), 0.0)
            if adjoint is None:
                norms[:, i] = torch.where(free[:, i] & going, norm, norms[:, i])
        first = gained if sweep == 0 else first
        going &= (gained > eps * first) | (sweep == 0)
    return norms
