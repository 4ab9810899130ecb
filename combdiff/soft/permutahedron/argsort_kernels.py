"""Argsort along the last axis, rows first..last−1, faster than `torch.sort` on a CPU.

A float becomes an unsigned integer of the same order. Short rows of float32 are sorted as one word (key, index) by
NumPy's SIMD sort, which needs no separate index array; long rows by a least-significant-digit radix sort, whose
time does not depend on the vector instructions of the machine; tiny rows by counting. All are stable for float32; equal
float64 inputs may come in any (reproducible) order. Tiny and long rows are sorted inside the projections, a row at a
time, while it is in the cache; NumPy's sort takes all rows at once, before.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from combdiff_solvers.compute.kernels import kernel

# Up to here NumPy's sorting networks win, beyond it radix sort: soft ranks with their gradient take 1.1 to 1.3 times as
# long with NumPy's sort at (128, 1000), 1.8 to 2.9 times at (16, 10⁴) and (1, 10⁵) (float32 and float64, AVX-512).
SHORT = 512
WIDE = 4000  # beyond it, three passes over 11 bits win over four passes over 8

# Plain annotations: numba compiles these functions, a run-time type checker has no place in them.
Array = Any

_SIGN32, _REST32 = np.uint32(0x80000000), np.uint32(0xFFFFFFFF)
_SIGN64, _REST64 = np.uint64(0x8000000000000000), np.uint64(0xFFFFFFFFFFFFFFFF)
_LAST32, _LAST64 = np.uint32(0xFFFFFFFE), np.uint64(0xFFFFFFFFFFFFFFFE)
_HALF = np.uint64(32)


@kernel(counted=False, inline="always")
def _key32(bits: Any, flip: bool) -> Any:
    """An unsigned integer in the order of the float with these bits; in the reverse order with `flip`."""
    # (a mask and exclusive or: the complement of an unsigned number is wider than the number)
    key = bits ^ (_REST32 if bits & _SIGN32 else _SIGN32)
    if flip:
        key ^= _REST32
    return min(key, _LAST32)  # the largest key is kept for masked entries


@kernel(counted=False, inline="always")
def _key64(bits: Any, flip: bool) -> Any:
    key = bits ^ (_REST64 if bits & _SIGN64 else _SIGN64)
    if flip:
        key ^= _REST64
    return min(key, _LAST64)


@kernel(counted=False)
def _pack32(first: int, last: int, bits: Array, mask: Array, flip: bool, words: Array) -> None:
    """words[r, i] = key of entry i in the upper half, i in the lower half."""
    n = bits.shape[1]
    masked = mask.size > 0
    for r in range(first, last):
        for i in range(n):
            key = _key32(bits[r, i], flip)
            if masked and not mask[r, i]:
                key = _REST32
            words[r - first, i] = (np.uint64(key) << _HALF) | np.uint64(i)


@kernel(counted=False)
def _pack64(first: int, last: int, bits: Array, mask: Array, flip: bool, keys: Array) -> None:
    n = bits.shape[1]
    masked = mask.size > 0
    for r in range(first, last):
        for i in range(n):
            key = _key64(bits[r, i], flip)
            if masked and not mask[r, i]:
                key = _REST64
            keys[r - first, i] = key


@kernel(counted=False, error_model="numpy")
def _to_offsets(count: Array) -> None:
    """Turn numbers of keys into the places where they start."""
    total = 0
    for value in range(count.size):
        before = total
        total += int(count[value])
        count[value] = before


@kernel(counted=False, error_model="numpy")
def _radix32(
    r: int, bits: Array, mask: Array, flip: bool, o: int, order: Array, counts: Array, source: Array, target: Array
) -> None:
    """Argsort a float32 row by three or four counting passes over words (key, index)."""
    n = bits.shape[1]
    width, passes = (11, 3) if n > WIDE else (8, 4)
    low = np.uint64((1 << width) - 1)
    masked = mask.size > 0
    for digit in range(passes):
        for value in range(1 << width):
            counts[digit, value] = 0
    for i in range(n):
        key = _key32(bits[r, i], flip)
        if masked and not mask[r, i]:
            key = _REST32
        word = np.uint64(key)
        source[i] = (word << _HALF) | np.uint64(i)
        for digit in range(passes):
            counts[digit, np.int64((word >> np.uint64(digit * width)) & low)] += 1
    for digit in range(passes):
        shift = np.uint64(32 + digit * width)
        count = counts[digit, : 1 << width]
        if count[np.int64((source[0] >> shift) & low)] == n:
            continue  # every key has the same digit
        _to_offsets(count)
        for i in range(n):
            word = source[i]
            bucket = np.int64((word >> shift) & low)
            target[count[bucket]] = word
            count[bucket] += 1
        source, target = target, source
    for i in range(n):
        order[o, i] = np.int32(source[i] & np.uint64(0xFFFFFFFF))


@kernel(counted=False, error_model="numpy")
def _radix64(
    r: int,
    bits: Array,
    mask: Array,
    flip: bool,
    o: int,
    order: Array,
    counts: Array,
    source: Array,
    target: Array,
    items: Array,
    moved: Array,
) -> None:
    """Argsort a float64 row by six counting passes over keys with their indices beside them."""
    n = bits.shape[1]
    width, passes = 11, 6
    low = np.uint64((1 << width) - 1)
    masked = mask.size > 0
    for digit in range(passes):
        for value in range(1 << width):
            counts[digit, value] = 0
    for i in range(n):
        key = _key64(bits[r, i], flip)
        if masked and not mask[r, i]:
            key = _REST64
        source[i] = key
        items[i] = i
        for digit in range(passes):
            counts[digit, np.int64((key >> np.uint64(digit * width)) & low)] += 1
    for digit in range(passes):
        shift = np.uint64(digit * width)
        count = counts[digit, : 1 << width]
        if count[np.int64((source[0] >> shift) & low)] == n:
            continue
        _to_offsets(count)
        for i in range(n):
            bucket = np.int64((source[i] >> shift) & low)
            at = count[bucket]
            target[at] = source[i]
            moved[at] = items[i]
            count[bucket] = at + 1
        source, target = target, source
        items, moved = moved, items
    for i in range(n):
        order[o, i] = items[i]


@kernel(counted=False, inline="always")
def _count_smaller(r: int, x: Array, flip: bool, o: int, order: Array) -> None:
    """Argsort a tiny row by counting, for each entry, those before it: few steps without a branch.

    Of a row with a NaN it writes only some indices, a NaN's first.
    """
    n = x.shape[1]
    nan_at = -1
    for i in range(n):
        value = x[r, i]
        at = 0
        for j in range(i):
            at += x[r, j] >= value if flip else x[r, j] <= value
        for j in range(i + 1, n):
            at += x[r, j] > value if flip else x[r, j] < value
        order[o, at] = i
        if value != value:
            nan_at = i
    if nan_at >= 0:
        order[o, 0] = nan_at


@kernel()
def sorting_scratch(bits: Array, rows: int, n: int) -> tuple[Array, Array, Array, Array, Array, Array]:
    """What `sort_row` needs: `rows` rows for orders, and the arrays of a radix sort, for rows of n values."""
    long = n if n > SHORT else 0
    size = 0 if long == 0 else 1 << 11 if bits.itemsize == 8 or n > WIDE else 1 << 8
    return (
        np.zeros((rows, n), np.int32),
        np.empty((6, size), np.int64),
        np.empty(long, np.uint64),
        np.empty(long, np.uint64),
        np.empty(long if bits.itemsize == 8 else 0, np.int32),
        np.empty(long if bits.itemsize == 8 else 0, np.int32),
    )


@kernel(counted=False, inline="always")
def sort_row(r: int, x: Array, bits: Array, mask: Array, flip: bool, o: int, scratch: Any) -> None:
    """Write into row o of the orders of `scratch` the indices that sort row r of x.

    Args:
        x: (rows, n) float32 or float64, tiny rows without a mask, or rows longer than SHORT.
        bits: the same memory as unsigned integers; not read of tiny rows.
        mask: (rows, n) bool, True where an entry counts, or an empty array; masked entries come last.
        flip: descending.
        scratch: of `sorting_scratch`.
    """
    order, counts, source, target, items, moved = scratch
    if x.shape[1] <= SHORT:
        _count_smaller(r, x, flip, o, order)
    elif bits.itemsize == 4:
        _radix32(r, bits, mask, flip, o, order, counts, source, target)
    else:
        _radix64(r, bits, mask, flip, o, order, counts, source, target, items, moved)


def argsort_rows(first: int, last: int, x: Array, bits: Array, mask: Array, flip: bool, order: Array) -> None:
    """Write into `order[first:last]` what `sort_row` would, for rows of middle length, up to SHORT.

    Args:
        order: (rows, n) int32, written.
    """
    keys = np.empty((last - first, x.shape[1]), np.uint64)
    if x.dtype == np.float32:
        _pack32(first, last, bits, mask, flip, keys)
        keys.sort(axis=-1)
        order[first:last] = keys  # their lower halves
    else:
        _pack64(first, last, bits, mask, flip, keys)
        order[first:last] = keys.argsort(axis=-1)
