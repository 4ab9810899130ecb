"""Slow truths that the soft operators are tested against: every partition into blocks, in NumPy and float64."""

from __future__ import annotations

import itertools

import numpy as np

Array = np.ndarray


def lse(values: Array) -> float:
    """log Σ exp, shifted by the maximum."""
    top = values.max()
    return float(top + np.log(np.exp(values - top).sum()))


def partitions(n: int) -> list[list[tuple[int, int]]]:
    """Every way to cut 0..n into blocks of neighbours."""
    found = []
    for cuts in itertools.product((False, True), repeat=n - 1):
        edges = [0, *(at + 1 for at, cut in enumerate(cuts) if cut), n]
        found.append(list(itertools.pairwise(edges)))
    return found


def dual_value(part: list[tuple[int, int]], z: Array, w: Array, kl: bool) -> tuple[Array, float] | None:
    """The best v that is constant on each block, if it is non-increasing, and its objective."""
    v = np.empty(len(z))
    for a, b in part:
        v[a:b] = lse(z[a:b]) - lse(w[a:b]) if kl else (z[a:b] - w[a:b]).mean()
    if (np.diff(v) > 1e-12).any():
        return None
    value = (np.exp(z - v) + np.exp(w) * v).sum() if kl else 0.5 * ((v - z + w) ** 2).sum()
    return v, float(value)


def isotonic(z: Array, w: Array, kl: bool) -> Array:
    """The optimal dual v by trying every partition."""
    feasible = [found for part in partitions(len(z)) if (found := dual_value(part, z, w, kl)) is not None]
    return min(feasible, key=lambda found: found[1])[0]


def brute_rank(x: Array, eps: float, kl: bool) -> Array:
    """Soft ranks of one row."""
    n = len(x)
    order = np.argsort(-x)
    s = x[order] / eps
    w = np.arange(n, 0, -1.0)
    v = isotonic(s, np.log(w) if kl else w, kl)
    out = np.empty(n)
    out[order] = np.exp(s - v) if kl else s - v
    return out


def brute_sort(x: Array, eps: float, kl: bool) -> Array:
    """Soft ascending sort of one row."""
    z = np.arange(len(x), 0, -1.0) / eps
    return -(z - isotonic(z, np.sort(-x)[::-1], kl))
