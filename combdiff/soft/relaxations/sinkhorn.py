"""Sorting as entropic optimal transport between the values and the positions."""

from __future__ import annotations

import torch
from torch import Tensor

from combdiff.soft.arguments import Mask, Matrices, Values
from combdiff.soft.permutahedron.formula import exponent
from combdiff.soft.transforms import concrete

STEPS = 40  # Newton converges in about ten
RIDGE = 1e-10


def sinkhorn_matrix(x: Values, eps: Tensor, mask: Mask) -> Matrices:
    """The doubly stochastic matrix argmax over P of Σ_ij P_ij i x_j / ε − ½ Σ_ij P_ij log P_ij.

    In the limit ε → 0 this is the assignment that sorts. P_ij ∝ exp(2 i x_j/ε + g_j) in every row i; the potentials g
    make the columns sum to 1. They are found in float64 by Newton steps on the convex dual, started at the dual
    solution of the hard problem, with Sinkhorn's step where it is the better one, and refined by two more Newton steps
    that are differentiated: these make first and second derivatives exact without unrolling the iteration.

    Sources: Cuturi, Teboul & Vert (2019), "Differentiable ranks and sorting using optimal transport"; Mena et al.
    (2018), "Learning latent permutations with Gumbel-Sinkhorn networks", equation 4 (this linear score).

    >>> sinkhorn_matrix(torch.tensor([[2.0, 1.0]]), torch.tensor([[1e-3]]), None)
    tensor([[[0., 1.],
             [1., 0.]]])
    """
    n = x.shape[-1]
    valid = torch.ones_like(x, dtype=torch.bool) if mask is None else mask
    z = x.double()
    order = torch.where(valid, z.detach(), torch.inf).argsort(dim=-1, stable=True)
    ordered = z.gather(-1, order)
    place = torch.arange(1, n + 1, device=x.device, dtype=torch.float64)

    # hard duals: in row i, neighbours j and j + 1 differ by (2 i − 2 j − 1) (x_{j+1} − x_j) / ε. Their cumulative
    # sum is added to the score before the division by ε, so that no digits are lost at small ε
    steps = (place[:-1] + 0.5) * ordered.diff(dim=-1)
    dual = torch.cat([torch.zeros_like(z[..., :1]), -steps.cumsum(-1)], -1)
    dual = torch.empty_like(dual).scatter(-1, order, dual)
    score = place[:, None] * z[..., None, :] + dual[..., None, :]
    spare = ~valid
    seat = valid.sum(-1, keepdim=True) + spare.cumsum(-1)  # masked values take the last places, one each
    fixed = (place[:, None] == seat[..., None, :]) & spare[..., None, :]
    rows = place[:, None] <= valid.sum(-1)[..., None, None]
    inside = rows & valid[..., None, :]
    peak = torch.where(inside, score.detach(), -torch.inf).amax(-1, keepdim=True)
    gap = torch.where(inside, score - torch.where(inside, peak, 0.0), 0.0)
    gap = exponent(gap, 0.5 * eps[..., None].double())
    score = torch.where(inside, gap, torch.where(fixed, 0.0, -torch.inf))

    potential = _balanced(score.detach())
    for _ in range(2):
        potential = potential + _newton(score, potential)
    return torch.softmax(score + potential[..., None, :], -1).to(x.dtype)


def _newton(score: Tensor, potential: Tensor) -> Tensor:
    """The Newton step of the dual Σ_i logsumexp_j(score_ij + g_j) − Σ_j g_j."""
    matrix = torch.softmax(score + potential[..., None, :], -1)
    columns = matrix.sum(-2)
    n = score.shape[-1]
    hessian = torch.diag_embed(columns + RIDGE) - matrix.transpose(-1, -2) @ matrix + 1.0 / n
    # positive definite; and the derivatives of `torch.linalg.solve` are wrong inside vmap (seen in torch 2.13)
    factor = torch.linalg.cholesky_ex(hessian).L
    return torch.cholesky_solve((1.0 - columns)[..., None], factor)[..., 0]


def _balanced(score: Tensor) -> Tensor:
    """Potentials that make the columns of softmax(score + g) sum to 1."""
    potential = torch.zeros_like(score[..., 0, :])

    def dual(candidate: Tensor) -> Tensor:
        return (score + candidate[..., None, :]).logsumexp(-1).sum(-1, keepdim=True) - candidate.sum(-1, keepdim=True)

    for _ in range(STEPS):
        columns = torch.softmax(score + potential[..., None, :], -1).sum(-2)
        if concrete(score) and bool(((columns - 1.0).abs() < 1e-9).all()):
            break
        step = _newton(score, potential)
        best, value = potential, dual(potential)
        for change in (-columns.clamp(min=1e-300).log(), 0.1 * step, 0.4 * step, step):
            candidate = potential + change
            trial = dual(candidate)
            better = trial <= value
            best, value = torch.where(better, candidate, best), torch.where(better, trial, value)
        potential = best
    return potential
