"""Differentiable sorting networks: every comparator swaps softly."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from combdiff.soft.arguments import Mask, Matrices, Values
from combdiff.soft.relaxations.comparators import Comparator, order_kept

Layout = Literal["odd_even", "bitonic"]


def network_matrix(
    x: Values, eps: Tensor, mask: Mask, layout: Layout = "odd_even", comparator: Comparator = "logistic"
) -> Matrices:
    """The doubly stochastic matrix of a sorting network whose comparators mix their inputs.

    A comparator of a and b keeps their order with probability p = F((b − a)/ε) and swaps it with 1 − p, in the values
    and in the rows of the matrix; `comparators` has the three F. With "cauchy" and "optimal" no sorted value falls as
    an entry rises, and none is off by more than a multiple of ε (of two values: 4ε/π² and ε/4), but the matrix tends to
    the hard one only as ε does to 0; "optimal" has the smallest error of all that are monotonic. The logistic one is
    not monotonic. (diffsort's steepness is 1/ε, π/(4ε) and 1/(4ε).)

    The odd-even network has n layers, the bitonic one log₂ n (log₂ n + 1)/2;
    its size is filled up to a power of two with entries that are never mixed. A row of which k entries count goes
    through the layers of a network for k entries only, so that a mask is the same as leaving the others out.

    Sources: Petersen, Borgelt, Kuehne & Deussen (2021), "Differentiable sorting networks for scalable sorting and
    ranking supervision", section 3; the same (2022), "Monotonic differentiable sorting networks", section 4.

    >>> network_matrix(torch.tensor([[2.0, 1.0]]), torch.tensor([[1e-3]]), None)
    tensor([[[0., 1.],
             [1., 0.]]])
    """
    rows, n = x.shape
    wires = n if layout == "odd_even" else 1 << max(n - 1, 0).bit_length()
    real = torch.ones_like(x, dtype=torch.bool) if mask is None else mask
    size = real.sum(-1, keepdim=True)
    front = (~real).to(torch.uint8).argsort(dim=-1, stable=True)  # entries that count take the first wires
    values = torch.nn.functional.pad(x.gather(-1, front), (0, wires - n))
    real = torch.arange(wires, device=x.device) < size
    matrix = torch.eye(wires, dtype=x.dtype, device=x.device).expand(rows, -1, -1)
    if n == 1:  # no comparator: a constant, but of x
        matrix = matrix + 0.0 * torch.where(x.isfinite(), x, 0.0)[..., None]
    for first, second, least in _layers(wires, layout, x.device):
        a, b = values[..., first], values[..., second]
        real_a, real_b = real[..., first], real[..., second]
        keep = order_kept(b - a, eps, comparator)
        # entries that do not count go behind those that do, unmixed
        keep = torch.where(real_a & real_b, keep, (real_a | ~real_b).to(x.dtype))
        keep = torch.where(size >= least, keep, 1.0)
        values = _mixed(values, keep, first, second)
        matrix = _mixed(matrix.transpose(-1, -2), keep[..., None, :], first, second).transpose(-1, -2)
        real = real.index_copy(-1, first, real_a | real_b).index_copy(-1, second, real_a & real_b)
    return torch.zeros_like(matrix[..., :n, :n]).scatter(-1, front[..., None, :].expand(-1, n, -1), matrix[..., :n, :n])


def _mixed(rows: Tensor, keep: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Swap the entries `first` and `second` of the last dimension with probability 1 − keep."""
    a, b = rows[..., first], rows[..., second]
    return rows.index_copy(-1, first, keep * a + (1 - keep) * b).index_copy(-1, second, keep * b + (1 - keep) * a)


def _layers(wires: int, layout: Layout, device: torch.device) -> list[tuple[Tensor, Tensor, int]]:
    """The comparators of each layer: wires that shall hold the lower and the upper value; and the fewest entries,
    on the first wires, that need the layer."""
    every = torch.arange(wires, device=device)
    layers = []
    if layout == "odd_even":
        for layer in range(wires if wires > 1 else 0):
            first = every[layer % 2 : wires - 1 : 2]
            layers.append((first, first + 1, layer + 1))
        return layers
    size = 2
    while size <= wires:
        step = size // 2
        while step >= 1:
            low = every[: wires // 2] + every[: wires // 2] // step * step  # the wires with a 0 at this bit
            high = low + step
            down = (low & size) != 0
            layers.append((torch.where(down, high, low), torch.where(down, low, high), size // 2 + 1))
            step //= 2
        size *= 2
    return layers
