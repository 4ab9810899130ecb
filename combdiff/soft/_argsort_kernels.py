"""Argsort along the last axis, rows first..last−1, faster than `torch.sort` on a CPU.

A float becomes an unsigned integer of the same order. Short rows of float32 are sorted as one word (key, index) by
NumPy's SIMD sort, which needs no separate index array; long rows by a least-significant-digit radix sort, whose
time does not depend on the vector instructions of the machine. Both are stable for float32; equal float64 inputs
may come in any (reproducible) order. Tiny rows are sorted inside the projections (`_walk_kernels.argsort_tiny`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from combdiff_solvers.kernels import kernel

SHORT = 512  # up to here NumPy's sorting networks win, beyond it radix sort

# Plain annotations: numba compiles these functions, a run-time type checker has no place in them.
Array = Any

_SIGN32, _REST32 = np.uint32(0x80000000), np.uint32(0xFFFFFFFF)
_SIGN64, _REST64 = np.uint64(0x8000000000000000), np.uint64(0xFFFFFFFFFFFFFFFF)
_LAST32, _LAST64 = np.uint32(0xFFFFFFFE), np.uint64(0xFFFFFFFFFFFFFFFE)
_HALF = np.uint64(32)


@kernel(inline="always")
def _key32(bits: Any, flip: bool) -> Any:
    """An unsigned integer in the order of the float with these bits; in the reverse order with `flip`."""
    # (a mask and exclusive or: the complement of an unsigned number is wider than the number)
    key = bits ^ (_REST32 if bits & _SIGN32 else _SIGN32)
    if flip:
        key ^= _REST32
    return min(key, _LAST32)  # the largest key is kept for masked entries


@kernel(inline="always")
def _key64(bits: Any, flip: bool) -> Any:
    key = bits ^ (_REST64 if bits & _SIGN64 else _SIGN64)
    if flip:
        key ^= _REST64
    return min(key, _LAST64)


@kernel()
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


@kernel()
def _unpack32(first: int, words: Array, order: Array) -> None:
    rows, n = words.shape
    for r in range(rows):
        for i in range(n):
            order[first + r, i] = np.int32(words[r, i] & np.uint64(0xFFFFFFFF))


@kernel()
def _pack64(first: int, last: int, bits: Array, mask: Array, flip: bool, keys: Array) -> None:
    n = bits.shape[1]
    masked = mask.size > 0
    for r in range(first, last):
        for i in range(n):
            key = _key64(bits[r, i], flip)
            if masked and not mask[r, i]:
                key = _REST64
            keys[r - first, i] = key


@kernel()
def _radix32(first: int, last: int, bits: Array, mask: Array, flip: bool, order: Array) -> None:
    """Argsort float32 rows by three or four counting passes over words (key, index)."""
    n = bits.shape[1]
    width = 11 if n > 4000 else 8
    passes = 3 if width == 11 else 4
    size = 1 << width
    low = np.uint64(size - 1)
    counts = np.empty((passes, size), np.int64)
    source, target = np.empty(n, np.uint64), np.empty(n, np.uint64)
    masked = mask.size > 0
    for r in range(first, last):
        counts[:] = 0
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
            count = counts[digit]
            if count[np.int64((source[0] >> shift) & low)] == n:
                continue  # every key has the same digit
            total = 0
            for value in range(size):
                before = total
                total += int(count[value])
                count[value] = before
            for i in range(n):
                word = source[i]
                bucket = np.int64((word >> shift) & low)
                target[count[bucket]] = word
                count[bucket] += 1
            source, target = target, source
        for i in range(n):
            order[r, i] = np.int32(source[i] & np.uint64(0xFFFFFFFF))


@kernel()
def _radix64(first: int, last: int, bits: Array, mask: Array, flip: bool, order: Array) -> None:
    """Argsort float64 rows by six counting passes over keys with their indices beside them."""
    n = bits.shape[1]
    width, passes = 11, 6
    size = 1 << width
    low = np.uint64(size - 1)
    counts = np.empty((passes, size), np.int64)
    source, target = np.empty(n, np.uint64), np.empty(n, np.uint64)
    items, moved = np.empty(n, np.int32), np.empty(n, np.int32)
    masked = mask.size > 0
    for r in range(first, last):
        counts[:] = 0
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
            count = counts[digit]
            if count[np.int64((source[0] >> shift) & low)] == n:
                continue
            total = 0
            for value in range(size):
                before = total
                total += int(count[value])
                count[value] = before
            for i in range(n):
                bucket = np.int64((source[i] >> shift) & low)
                at = count[bucket]
                target[at] = source[i]
                moved[at] = items[i]
                count[bucket] = at + 1
            source, target = target, source
            items, moved = moved, items
        for i in range(n):
            order[r, i] = items[i]


def argsort_rows(first: int, last: int, x: Array, mask: Array, flip: bool, order: Array) -> None:
    """Write into `order[first:last]` the indices that sort the rows of `x` ascending, or descending with `flip`.

    Args:
        x: (rows, n) float32 or float64, C-contiguous. NaN sorts to one of the ends.
        mask: (rows, n) bool, True where an entry counts, or an empty array; masked entries come last.
        flip: descending.
        order: (rows, n) int32, written.
    """
    n = x.shape[1]
    single = x.dtype == np.float32
    bits = x.view(np.uint32 if single else np.uint64)
    if n > SHORT:
        (_radix32 if single else _radix64)(first, last, bits, mask, flip, order)
        return
    keys = np.empty((last - first, n), np.uint64)
    if single:
        _pack32(first, last, bits, mask, flip, keys)
        keys.sort(axis=-1)
        _unpack32(first, keys, order)
    else:
        _pack64(first, last, bits, mask, flip, keys)
        order[first:last] = keys.argsort(axis=-1)
