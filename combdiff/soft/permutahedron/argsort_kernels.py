"""Argsort along the last axis, rows first..last−1, faster than `torch.sort` on a CPU.

A float becomes an unsigned integer of the same order. Short rows of float32 are sorted as one word (key, index) by
NumPy's SIMD sort, which needs no separate index array; long rows by a least-significant-digit radix sort, whose
time does not depend on the vector instructions of the machine; tiny rows by counting. All are stable for float32; equal
float64 inputs may come in any (reproducible) order. Tiny and long rows are sorted inside the projections, a row at a
time, while it is in the cache; NumPy's sort takes all rows at once, before.
"""

from typing import Any

import numpy as np

from combdiff_solvers.compute.kernels import Array, kernel

# Up to here NumPy's sorting networks win, beyond it radix sort: soft ranks with their gradient take 1.1 to 1.3 times as
# long with NumPy's sort at (128, 1000), 1.8 to 2.9 times at (16, 10⁴) and (1, 10⁵) (float32 and float64, AVX-512).
SHORT = 512
WIDE = 4000  # beyond it, three passes over 11 bits win over four passes over 8

_ZERO, _ONE, _INDEX = np.uint64(0), np.uint64(1), np.uint64(0xFFFFFFFF)


@kernel(counted=False, inline="always")
def _key(r: int, i: int, bits: Array, mask: Array, flip: bool, sign: Any) -> Any:
    """An unsigned integer in the order of the float with these bits; in the reverse order with `flip`.

    The largest key is kept for masked entries. `sign` is the float's highest bit, as a uint64.
    """
    last = (sign << _ONE) - _ONE
    word = np.uint64(bits[r, i])
    key = min(word ^ (last if word & sign else sign) ^ (last if flip else _ZERO), last - _ONE)
    return last if mask.size > 0 and not mask[r, i] else key


@kernel(counted=False)
def _pack(first: int, last: int, bits: Array, mask: Array, flip: bool, words: Array) -> None:
    """words[r, i]: the key of entry i; that of a float32 is in the upper half, and i in the lower half."""
    sign = _ONE << np.uint64(8 * bits.itemsize - 1)
    shift, low = (np.uint64(32), _INDEX) if bits.itemsize == 4 else (_ZERO, _ZERO)
    for r in range(first, last):
        for i in range(bits.shape[1]):
            words[r - first, i] = (_key(r, i, bits, mask, flip, sign) << shift) | (np.uint64(i) & low)


@kernel(counted=False)
def _unpack(first: int, words: Array, order: Array) -> None:
    """The lower halves of words; a cast by NumPy makes soft operators of (128, 100) 2 to 4 % slower."""
    for r in range(words.shape[0]):
        for i in range(words.shape[1]):
            order[first + r, i] = np.int32(words[r, i] & _INDEX)


@kernel(counted=False, error_model="numpy")
def _radix(r: int, bits: Array, mask: Array, flip: bool, o: int, scratch: Any) -> None:
    """Argsort a row by counting passes: three or four over words as of `_pack` (float32), or six over keys with their
    indices beside them (float64)."""
    order, _, counts, source, target, items, moved = scratch
    n = bits.shape[1]
    pairs = bits.dtype == source.dtype  # float64: a constant of the compiler, which leaves the other half out
    width, passes = (11, 6 if pairs else 3) if pairs or n > WIDE else (8, 4)
    low, start = np.uint64((1 << width) - 1), 0 if pairs else 32
    sign = _ONE << np.uint64(63 if pairs else 31)
    for digit in range(passes):
        for value in range(1 << width):
            counts[digit, value] = 0
    for i in range(n):
        key = _key(r, i, bits, mask, flip, sign)
        if pairs:
            source[i], items[i] = key, i
        else:
            source[i] = (key << np.uint64(32)) | np.uint64(i)
    for digit in range(passes):  # a loop of its own for each: all at once take a tenth longer
        shift = np.uint64(start + digit * width)
        for i in range(n):
            counts[digit, np.int64((source[i] >> shift) & low)] += 1
    for digit in range(passes):
        shift = np.uint64(start + digit * width)
        count = counts[digit, : 1 << width]
        if count[np.int64((source[0] >> shift) & low)] == n:
            continue  # every key has the same digit
        total = 0
        for value in range(count.size):  # numbers of keys become the places where they start
            before = total
            total += int(count[value])
            count[value] = before
        for i in range(n):
            word = source[i]
            bucket = np.int64((word >> shift) & low)
            target[count[bucket]] = word
            if pairs:
                moved[count[bucket]] = items[i]
            count[bucket] += 1
        source, target, items, moved = target, source, moved, items
    for i in range(n):
        order[o, i] = items[i] if pairs else np.int32(source[i] & _INDEX)


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
def sorting_scratch(pairs: bool, order: Array, rows: int, n: int) -> Any:
    """What `sort_row` needs: `order`, or `rows` rows of its own where that is empty, and whether it is; and the arrays
    of a radix sort of n values, float64 (`pairs`) or float32."""
    unsorted = order.size == 0
    long = n if n > SHORT else 0
    size = 0 if long == 0 else 1 << 11 if pairs or n > WIDE else 1 << 8
    return (
        np.zeros((rows, n), np.int32) if unsorted else order,
        unsorted,
        np.empty((6, size), np.int64),
        np.empty(long, np.uint64),
        np.empty(long, np.uint64),
        np.empty(long if pairs else 0, np.int32),
        np.empty(long if pairs else 0, np.int32),
    )


@kernel(counted=False, inline="always")
def sort_row(r: int, o: int, x: Array, bits: Array, mask: Array, flip: bool, scratch: Any) -> None:
    """Write into row o of the orders of `scratch` the indices that sort row r of x.

    Args:
        x: (rows, n) float32 or float64, tiny rows without a mask, or rows longer than SHORT.
        bits: the same memory as unsigned integers; not read of tiny rows.
        mask: (rows, n) bool, True where an entry counts, or an empty array; masked entries come last.
        flip: descending.
        scratch: of `sorting_scratch`.
    """
    if x.shape[1] <= SHORT:
        _count_smaller(r, x, flip, o, scratch[0])
    else:
        _radix(r, bits, mask, bool(flip), o, scratch)  # (numba compiles another for a literal True)


def argsort_rows(first: int, last: int, x: Array, bits: Array, mask: Array, flip: bool, order: Array) -> None:
    """Write into `order[first:last]` what `sort_row` would, for rows of middle length, up to SHORT.

    Args:
        order: (rows, n) int32, written.
    """
    words = np.empty((last - first, x.shape[1]), np.uint64)
    _pack(first, last, bits, mask, flip, words)
    if x.dtype == np.float32:
        words.sort(axis=-1)
        _unpack(first, words, order)
    else:
        order[first:last] = words.argsort(axis=-1)
