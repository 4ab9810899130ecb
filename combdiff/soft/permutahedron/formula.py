"""The projection onto the permutahedron as a smooth formula, once its blocks are known.

The blocks are piecewise constant in x and ε. Given them, the result is a composition of plain torch operations, so
autograd, forward mode, `torch.func` and second derivatives are right by construction. This is what every derivative but
the first one in reverse mode is made of, and all derivatives on devices other than the CPU.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from combdiff.soft.arguments import Mask, Values
from combdiff.soft.permutahedron.kinds import RANK_KL, RANK_L2, SORT_KL


def working(x: Tensor) -> Tensor:
    """x in float64, or in float32 on a device that has no float64."""
    return x.float() if x.device.type == "mps" else x.double()


def inverse(strength: Float[Tensor, "... 1"]) -> Float[Tensor, "... 1"]:
    """1/ε, or 0 for ε = 0, where no two different entries share a block."""
    positive = strength > 0
    return torch.where(positive, 1.0 / torch.where(positive, strength, 1.0), 0.0)


def exponent(gap: Tensor, eps: Tensor, far: float = 1000.0) -> Tensor:
    """gap/ε, held between −far and far: where it would overflow, every derivative is 0 and none is NaN."""
    near = ~(gap.abs() >= far * eps)
    return torch.where(near, torch.where(near, gap, 0.0) / eps, far * gap.sign())


def evaluate(
    x: Values,
    strength: Float[Tensor, "rows 1"] | Float[Tensor, "1 1"],
    mask: Mask,
    kind: int,
    sign: int,
    hard: Values,
    block: Int[Tensor, "rows n"],
) -> Values:
    """The projection of each row of x, given `hard` and `block` as the kernels write them.

    Where an entry or a position is not soft, the value of `hard` is taken, as a constant; what is computed there beside
    it stays finite, so that no NaN comes back in a gradient.
    """
    n = x.shape[-1]
    soft = block >= 0
    block_of = torch.where(soft, block, n).long()  # shape: (rows, n); bin n takes what is not soft
    inv = inverse(working(strength))
    t = torch.where(soft, sign * working(x), 0.0)

    def totals(values: Tensor, bins: Tensor) -> Tensor:
        return torch.zeros_like(torch.cat([values, values[..., :1]], -1)).scatter_add(-1, bins, values)

    size = totals(soft.to(t.dtype), block_of)
    if kind in (RANK_L2, RANK_KL):
        count = size.gather(-1, block_of).clamp(min=1)
        valid = n if mask is None else mask.sum(-1, keepdim=True)
        weight = valid - block_of - 0.5 * (count - 1)
        if kind == RANK_L2:
            y = weight + (t - totals(t, block_of).gather(-1, block_of) / count) * inv
        else:
            share = torch.exp(torch.where(soft, t - _peak(t, block_of)[0], 0.0) * inv)
            y = count * weight * share / totals(share, block_of).gather(-1, block_of)
        return torch.where(soft, y, hard.detach()).to(x.dtype)

    position = torch.arange(n, device=x.device).expand_as(block_of)
    begin = torch.where(size[..., :n] > 0, position, -1).cummax(-1).values  # block of each position
    first = begin.clamp(min=0)
    count = size.gather(-1, first)
    covered = (begin >= 0) & (position < begin + count)
    first = torch.where(covered, first, n)
    ahead = (position - begin).to(t.dtype)
    if kind == SORT_KL:
        own, by_block = _peak(t, block_of)
        mass = totals(torch.exp(torch.where(soft, t - own, 0.0)), block_of).gather(-1, first)
        series = totals(torch.exp(-torch.where(covered, ahead, 0.0) * inv), first).gather(-1, first)
        spread = torch.log(torch.where(covered, mass, 1.0) / torch.where(covered, series, 1.0))
        y = by_block.gather(-1, first) + spread - torch.where(covered, ahead, 0.0) * inv
    else:
        y = totals(t, block_of).gather(-1, first) / count.clamp(min=1) + (0.5 * (count - 1) - ahead) * inv
    return torch.where(covered, sign * y, hard.detach()).to(x.dtype)


def _peak(t: Tensor, block_of: Tensor) -> tuple[Tensor, Tensor]:
    """The largest t of the block of each entry, and of each block; constants."""
    fixed = t.detach()
    start = torch.full_like(torch.cat([fixed, fixed[..., :1]], -1), -torch.inf)
    by_block = start.scatter_reduce(-1, block_of, fixed, "amax")
    return by_block.gather(-1, block_of), by_block
