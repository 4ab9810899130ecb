"""The compiled kernels on CPU tensors: which one, where its rows are sorted, and on how many threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from combdiff._bridge import run_kernel
from combdiff.soft.arguments import Eps, check_strength
from combdiff.soft.permutahedron import pull_back_kernels
from combdiff.soft.permutahedron.argsort_kernels import SHORT, argsort_rows
from combdiff.soft.permutahedron.kinds import TOP_L2
from combdiff.soft.permutahedron.kl_kernels import project_kl
from combdiff.soft.permutahedron.l2_kernels import project_l2
from combdiff.soft.permutahedron.top_kernels import share_top

KERNELS = 2 * [project_l2] + 2 * [project_kl] + 3 * [share_top]  # of each kind
GRAIN = 8192  # entries below which a chunk of rows is not worth a thread
TINY = 7  # rows up to this length are sorted by counting, if nothing is masked
SMALL = 16, 256  # so are rows up to the first length in batches up to the second number of entries
BITS = {4: np.uint32, 8: np.uint64}
NO_BITS = {torch.float32: np.empty((1, 0), np.uint32), torch.float64: np.empty((1, 0), np.uint64)}
NO_MASK, NO_ORDER = np.empty((1, 0), np.bool_), np.empty((1, 0), np.int32)


def serves(x: Tensor) -> bool:
    """Whether the kernels can read x; values of other devices are copied, their gradients are made by `formula`."""
    return x.device.type == "cpu"


def _sort_and_run(
    first: int, last: int, kernel: Any, kind: int, key: int, x: Any, mask: Any, strength: Any, out: Any, state: Any
) -> None:
    bits, order = x.view(BITS[x.dtype.itemsize]), NO_ORDER
    if x.shape[1] <= SHORT:
        order = np.empty((last, x.shape[1]), np.int32)
        argsort_rows(first, last, x, bits, mask, key > 0, order)
    kernel(first, last, kind, key, x, bits, mask, strength, order, out, state)


def project(x: Tensor, strength: Eps, mask: Tensor | None, kind: int, key: int) -> tuple[Tensor, Tensor]:
    """The projection of each row of x and the block of each entry; or its top-k mask and slopes.

    Args:
        x: (rows, n), contiguous, float32 or float64, on the CPU.
        strength: ε, a number or a tensor (rows, 1) or (1, 1).
        mask: (rows, n), contiguous, or None where every entry counts.
        kind: one of `kinds`.
        key: of a projection the sign, +1 or −1: t = sign · x is walked downwards; of a top-k mask k ≥ 1.

    Raises:
        ValueError: for a negative strength, or NaN.
    """
    rows, n = x.shape
    out, state = torch.empty_like(x), torch.empty(x.shape, dtype=torch.int32 if kind < TOP_L2 else torch.float64)
    kernel, eps, grain = KERNELS[kind], _strengths(strength), 1 + GRAIN // (n + 1)
    if mask is None and (n <= TINY or (n <= SMALL[0] and rows * n <= SMALL[1])):
        bits = NO_BITS[x.dtype]
        run_kernel(kernel, rows, kind, key, x, bits, NO_MASK, eps, NO_ORDER, out, state, grain=grain)
    else:
        valid = NO_MASK if mask is None else mask
        run_kernel(_sort_and_run, rows, kernel, kind, key, x, valid, eps, out, state, grain=grain)
    return out, state


def pull_back(x: Tensor, strength: Eps, kind: int, sign: int, out: Tensor, block: Tensor, grad_out: Tensor) -> Tensor:
    """The product of `grad_out` with the Jacobian of `project` with respect to x; `out` and `block` are its results."""
    grad, grad_out = torch.empty_like(x), grad_out.contiguous()
    rows, n = x.shape
    arguments = (kind, sign, x, _strengths(strength), out, block, grad_out, grad)
    run_kernel(pull_back_kernels.pull_back, rows, *arguments, grain=1 + 2 * GRAIN // (n + 1))
    return grad


def _strengths(strength: Eps) -> Any:
    """ε as a float64 vector of one entry or one a row."""
    if not isinstance(strength, Tensor):
        return np.array([strength])
    eps = strength.detach().double().reshape(-1).contiguous()
    check_strength(eps)
    return eps
