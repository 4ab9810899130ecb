"""The compiled kernels on CPU tensors: which one, where its rows are sorted, and on how many threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from combdiff._bridge import run_kernel
from combdiff.soft._argsort_kernels import SHORT, argsort_rows
from combdiff.soft._kinds import RANK_KL, RANK_L2, SORT_KL, SORT_L2
from combdiff.soft._l2_kernels import project_l2
from combdiff.soft._pull_back_kernels import pull_back_rank, pull_back_sort
from combdiff.soft._rank_kl_kernels import project_rank_kl
from combdiff.soft._sort_kl_kernels import project_sort_kl

PROJECT = {RANK_L2: project_l2, SORT_L2: project_l2, RANK_KL: project_rank_kl, SORT_KL: project_sort_kl}
PULL_BACK = {RANK_L2: pull_back_rank, SORT_L2: pull_back_sort, RANK_KL: pull_back_rank, SORT_KL: pull_back_sort}
GRAIN = 8192  # entries below which a chunk of rows is not worth a thread
TINY = 7  # rows up to this length are sorted by counting, if nothing is masked
SMALL = 16, 256  # so are rows up to the first length in batches up to the second number of entries
BITS = {4: np.uint32, 8: np.uint64}
NO_BITS = {torch.float32: np.empty((1, 0), np.uint32), torch.float64: np.empty((1, 0), np.uint64)}
NO_MASK, NO_ORDER = np.empty((1, 0), np.bool_), np.empty((1, 0), np.int32)


def serves(x: Tensor) -> bool:
    """Whether the kernels can read x; other devices have the plain torch path of `_hull` and `_formula`."""
    return x.device.type == "cpu"


def _project_rows(
    first: int, last: int, kind: int, sign: int, x: Any, mask: Any, strength: Any, order: Any, out: Any, block: Any
) -> None:
    bits = x.view(BITS[x.dtype.itemsize])
    if x.shape[1] <= SHORT:
        order = np.empty((last, x.shape[1]), np.int32)
        argsort_rows(first, last, x, bits, mask, sign > 0, order)
    PROJECT[kind](first, last, kind, sign, x, bits, mask, strength, order, out, block)


def project(x: Tensor, strength: Tensor | float, mask: Tensor | None, kind: int, sign: int) -> tuple[Tensor, Tensor]:
    """The projection of each row of x, and the block of each entry.

    Args:
        x: (rows, n), contiguous, float32 or float64, on the CPU.
        strength: ε, a number or a tensor (rows, 1) or (1, 1).
        mask: (rows, n), contiguous, or None where every entry counts.
        kind: RANK_L2, SORT_L2, RANK_KL or SORT_KL.
        sign: +1 or −1: t = sign · x is walked downwards.

    Raises:
        ValueError: for a negative strength, or NaN.
    """
    rows, n = x.shape
    out, block = torch.empty_like(x), torch.empty(x.shape, dtype=torch.int32)
    eps, grain = _strengths(strength), 1 + GRAIN // (n + 1)
    if mask is None and (n <= TINY or (n <= SMALL[0] and rows * n <= SMALL[1])):
        bits = NO_BITS[x.dtype]
        run_kernel(PROJECT[kind], rows, kind, sign, x, bits, NO_MASK, eps, NO_ORDER, out, block, grain=grain)
    else:
        valid = NO_MASK if mask is None else mask
        run_kernel(_project_rows, rows, kind, sign, x, valid, eps, NO_ORDER, out, block, grain=grain)
    return out, block


def pull_back(
    x: Tensor, strength: Tensor | float, kind: int, sign: int, out: Tensor, block: Tensor, grad_out: Tensor
) -> Tensor:
    """The product of `grad_out` with the Jacobian of `project` with respect to x; `out` and `block` are its results."""
    grad, grad_out = torch.empty_like(x), grad_out.contiguous()
    rows, n = x.shape
    arguments = (kind, sign, x, _strengths(strength), out, block, grad_out, grad)
    run_kernel(PULL_BACK[kind], rows, *arguments, grain=1 + 2 * GRAIN // (n + 1))
    return grad


def _strengths(strength: Tensor | float) -> Any:
    """ε as a float64 vector of one entry or one a row."""
    if not isinstance(strength, Tensor):
        return np.array([strength])
    eps = strength.detach().double().reshape(-1).contiguous()
    if not bool((eps >= 0).all()):
        worst = float(eps[~(eps >= 0)][0])
        raise ValueError(f"regularization_strength holds {worst}; all must be positive, or 0")
    return eps
