"""Projections on cones by non-negative least squares (Lawson & Hanson 1974, chapter 23), in one compiled pass."""

import numpy as np

from combdiff_solvers.compute.kernels import Array, kernel

TOLERANCE = 1e-11  # of the sizes of the point and a generator
PIVOT = 1e-10  # of a generator's size squared: below it, it depends on those that are in use


@kernel()
def _solve(gram: Array, right: Array, k: int, factor: Array, out: Array) -> bool:
    """Cholesky: out[:k] with gram · out = right; False where the last generator depends on the others."""
    for i in range(k):
        for j in range(i + 1):
            total = gram[i, j]
            for t in range(j):
                total -= factor[i, t] * factor[j, t]
            if i == j:
                if total <= PIVOT * gram[i, i]:
                    return False
                factor[i, i] = np.sqrt(total)
            else:
                factor[i, j] = total / factor[j, j]
    for i in range(k):
        total = right[i]
        for t in range(i):
            total -= factor[i, t] * out[t]
        out[i] = total / factor[i, i]
    for i in range(k - 1, -1, -1):
        total = out[i]
        for t in range(i + 1, k):
            total -= factor[t, i] * out[t]
        out[i] = total / factor[i, i]
    return True


@kernel()
def nearest(point: Array, generators: Array, skip: int, rest: Array) -> None:
    """Write point − its projection on the cone of the generators (m, n) into `rest`; generator `skip` is left out."""
    m, n = generators.shape
    most = min(m, n) + 1
    used, weight = np.empty(most, dtype=np.int64), np.zeros(most)
    free, size = np.ones(m, dtype=np.bool_), np.zeros(m)
    gram, factor = np.empty((most, most)), np.empty((most, most))
    right, trial = np.empty(most), np.empty(most)
    scale = 0.0
    for e in range(n):
        rest[e] = point[e]
        scale += point[e] * point[e]
    scale = np.sqrt(scale)
    for i in range(m):
        for e in range(n):
            size[i] += generators[i, e] * generators[i, e]
        size[i] = np.sqrt(size[i])
        free[i] = size[i] > 0.0 and i != skip
    k = 0
    for _ in range(10 * (m + 1)):
        best, gain = -1, TOLERANCE * scale
        for i in range(m):
            if free[i]:
                total = 0.0
                for e in range(n):
                    total += generators[i, e] * rest[e]
                if total > gain * size[i]:
                    best, gain = i, total / size[i]
        if best < 0:
            break
        free[best] = False
        if k == most - 1:  # n independent generators are in use: nothing is left to gain
            continue
        used[k], weight[k], right[k] = best, 0.0, 0.0
        for e in range(n):
            right[k] += generators[best, e] * point[e]
        for j in range(k + 1):
            total = 0.0
            for e in range(n):
                total += generators[used[j], e] * generators[best, e]
            gram[k, j] = gram[j, k] = total
        k += 1
        while k > 0:
            if not _solve(gram, right, k, factor, trial):
                k -= 1  # the new one depends on the others; it stays out
                break
            step = 1.0
            for i in range(k):
                if trial[i] <= 0.0:
                    step = min(step, weight[i] / (weight[i] - trial[i]))
            kept = 0
            for i in range(k):
                weight[i] += step * (trial[i] - weight[i])
            if step == 1.0:
                break
            for i in range(k):  # those that came to zero leave
                if weight[i] > 1e-14 or (trial[i] > 0.0 and weight[i] > 0.0):
                    used[kept], weight[kept], right[kept] = used[i], weight[i], right[i]
                    kept += 1
                else:
                    free[used[i]] = True
            if kept == k:
                break
            for i in range(kept):
                for j in range(i + 1):
                    total = 0.0
                    for e in range(n):
                        total += generators[used[i], e] * generators[used[j], e]
                    gram[i, j] = gram[j, i] = total
            k = kept
        for e in range(n):
            rest[e] = point[e]
        for i in range(k):
            for e in range(n):
                rest[e] -= weight[i] * generators[used[i], e]


@kernel()
def project_rows(first: int, last: int, points: Array, generators: Array, out: Array) -> None:
    """The projection of each row of points (b, n) on the cone of its generators (b, m, n)."""
    for row in range(first, last):
        nearest(points[row], generators[row], -1, out[row])
        for e in range(points.shape[1]):
            out[row, e] = points[row, e] - out[row, e]


@kernel()
def extreme_rays(first: int, last: int, rays: Array, limit: float, found: Array) -> None:
    """Which rays (k, n) are in no cone of the others: the rest of their projection is above limit · their size."""
    rest = np.empty(rays.shape[1])
    for i in range(first, last):
        nearest(rays[i], rays, i, rest)
        left = size = 0.0
        for e in range(rays.shape[1]):
            left += rest[e] * rest[e]
            size += rays[i, e] * rays[i, e]
        found[i] = np.sqrt(left) > limit * np.sqrt(size)
