"""`kernel`: compile a function with numba, and keep the machine code until it, or anything it is made of, changes.

numba keeps compiled functions on disk, and takes them for fresh while the *file of the function* has the same size and
date. That misses what is inlined from other files, and files of a wheel may all have one date, so a new version of
a package could go on with machine code of the old one. A kernel is therefore stamped with a digest of its own
code and of all that it calls.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

import numpy as np
from numba import njit
from numba.core.caching import IndexDataCacheFile
from numba.core.dispatcher import Dispatcher

__all__ = ["fingerprint", "kernel"]


def kernel(*, counted: bool = True, **options: Any) -> Callable[[Any], Any]:
    """The decorator `numba.njit(nogil=True, cache=True, **options)` with a cache that knows when it is out of date.

    Args:
        counted: False for a kernel that makes no arrays of its own: none is reference-counted in it then. Otherwise
            numba may leave a dozen locked instructions in the loop over rows, more than a short row costs.
        options: of `numba.njit`.

    >>> @kernel()
    ... def double(x):
    ...     return 2 * x
    >>> double(4)
    8
    """

    if not counted:
        options["_nrt"] = False

    def compile_(function: FunctionType) -> Any:
        try:
            compiled: Any = njit(nogil=True, cache=True, **options)(function)
        except RuntimeError:  # a function without a file has no place to be kept
            return njit(nogil=True, **options)(function)
        cache = getattr(compiled, "_cache", None)
        if cache is not None:  # it is where NUMBA_DISABLE_JIT is set
            cache._cache_file = StampedFile(cache.cache_path, cache._impl.filename_base, compiled)
        return compiled

    return compile_


class StampedFile(IndexDataCacheFile):
    """Where a compiled function is kept, with its fingerprint instead of the size and date of a file."""

    def __init__(self, cache_path: str, filename_base: str, compiled: Dispatcher) -> None:
        super().__init__(cache_path, filename_base, None)  # type: ignore[no-untyped-call]
        self._compiled = compiled

    def _load_index(self) -> Any:
        self._source_stamp = fingerprint(self._compiled)  # not before: what it calls may be defined below it
        return super()._load_index()  # type: ignore[no-untyped-call]


def fingerprint(compiled: Dispatcher, callers: tuple[Dispatcher, ...] = ()) -> str:
    """A digest of a kernel's code and options, of the constants it reads and of the kernels it calls."""
    function: Any = compiled.py_func
    code = function.__code__
    parts: list[Any] = [
        sorted(compiled.targetoptions.items()),
        code.co_code,
        code.co_names,
        [constant for constant in code.co_consts if type(constant) is not CodeType],
    ]
    for name in code.co_names:
        used = function.__globals__.get(name)
        if isinstance(used, Dispatcher):
            if used not in (compiled, *callers):
                parts.append(fingerprint(used, (compiled, *callers)))
        elif isinstance(used, type):
            parts.append(getattr(used, "_fields", None))
        elif isinstance(used, (bool, int, float, str, tuple, np.generic)):
            parts.append(used)
    return hashlib.sha256(repr(parts).encode()).hexdigest()
