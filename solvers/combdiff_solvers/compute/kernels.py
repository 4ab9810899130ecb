"""`kernel`: compile a function with numba when it is first called, and keep the machine code until it is out of date.

numba is imported with the first call, too, so `import combdiff` does not wait for it.

numba keeps compiled functions on disk, and takes them for fresh while the *file of the function* has the same size and
date. That misses what is inlined from other files, and files of a wheel may all have one date, so a new version of
a package could go on with machine code of the old one. A kernel is therefore stamped with a digest of its own
code and of all that it calls, and its files are checked by a digest of what they hold: numba would run machine code
with a flipped bit, and fail on a truncated file in every run.
"""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import numpy as np

Array = Any  # the type of an array in a kernel: numba compiles kernels, a type checker does not look into them

_log = logging.getLogger("combdiff")
_lock = threading.RLock()
_first_compile = True


def kernel(*, counted: bool = True, **options: Any) -> Callable[[Any], Any]:
    """The decorator `numba.njit(nogil=True, cache=True, **options)`, lazy, with a cache that knows its age and damage.

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
    return lambda function: Kernel(function, options)


class Kernel:
    """A function that is compiled when it is first called, for each combination of argument types.

    The logger `combdiff` says so in one line: a warning for the first compilation of a process, whose reason a user
    who waits would ask for, and information for those that follow.
    """

    def __init__(self, function: FunctionType, options: dict[str, Any]) -> None:
        self.function = function
        self.options = options
        self.__doc__, self.__name__, self.__module__ = function.__doc__, function.__name__, function.__module__
        self._compiled: Any = None
        self._unfinished: Any = None

    def __call__(self, *arguments: Any) -> Any:
        return (self._compiled or self.dispatcher)(*arguments)

    def __repr__(self) -> str:
        return f"Kernel({self.__module__}.{self.function.__qualname__})"

    def __reduce__(self) -> str:
        return self.function.__qualname__

    @property
    def dispatcher(self) -> Any:
        """numba's dispatcher (the plain function where NUMBA_DISABLE_JIT is set)."""
        with _lock:
            if self._compiled is None and self._unfinished is None:
                namespace = dict(self.function.__globals__)
                self._unfinished = compiled = self._njit(_with_globals(self.function, namespace))
                cache: Any = getattr(compiled, "_cache", None)
                if hasattr(cache, "_cache_file"):
                    cache._cache_file = KernelFiles(Path(cache.cache_path), cache._impl.filename_base, self)
                for name in self.function.__code__.co_names:
                    if isinstance(namespace.get(name), Kernel):
                        namespace[name] = namespace[name].dispatcher
                self._compiled = compiled  # not before: other threads call it from now on
            return self._compiled or self._unfinished

    def _njit(self, function: FunctionType) -> Any:
        from numba import njit

        try:
            return njit(nogil=True, cache=True, **self.options)(function)
        except RuntimeError:  # a function without a file, or no folder that can be written: nowhere to keep it
            _announce(self, "memory only: no folder to keep it in")
            return njit(nogil=True, **self.options)(function)


def _with_globals(function: FunctionType, namespace: dict[str, Any]) -> FunctionType:
    """The same function, whose globals are those given: numba takes compiled functions from there."""
    copy = FunctionType(function.__code__, namespace, function.__name__, function.__defaults__, function.__closure__)
    copy.__module__, copy.__qualname__ = function.__module__, function.__qualname__
    copy.__doc__, copy.__kwdefaults__ = function.__doc__, function.__kwdefaults__
    return copy


def _announce(compiled: Kernel, place: object) -> None:
    global _first_compile
    level = logging.WARNING if _first_compile else logging.INFO
    _first_compile = False
    _log.log(
        level, "compiling %s for this machine, kept in %s: the first use of a kernel takes seconds "
        "(combdiff.compute.warm_up() does it beforehand)", compiled.__name__, place,
    )  # fmt: skip


class KernelFiles:
    """Where numba keeps a compiled function: a file for each signature and processor.

    A file holds a stamp (what it was made of), a digest of the rest, and the rest. A file with another stamp is out of
    date, one with another digest is damaged, and one that cannot be read is missing: the function is compiled again
    and the file is replaced.
    """

    def __init__(self, folder: Path, name: str, owner: Kernel) -> None:
        self._folder, self._name, self._owner = folder, name, owner

    def _path_and_stamp(self, key: tuple[Any, ...]) -> tuple[Path, bytes]:
        import numba

        signature, processor, code = key
        place = hashlib.sha256(repr((signature, processor)).encode()).hexdigest()[:16]
        made_of = (numba.__version__, fingerprint(self._owner), signature, processor, code)
        return self._folder / f"{self._name}.{place}.nbc", hashlib.sha256(repr(made_of).encode()).digest()

    def load(self, key: tuple[Any, ...]) -> Any:
        """What was saved under the key; None makes numba compile, and save again."""
        path, stamp = self._path_and_stamp(key)
        try:
            held = path.read_bytes()
        except OSError:
            held = b""
        if held[:32] == stamp:
            content = held[64:]
            if hashlib.sha256(content).digest() == held[32:64]:
                return pickle.loads(content)
            _log.warning("%s is damaged: compiling %s again", path, self._owner.__name__)
        _announce(self._owner, path.parent)
        return None

    def save(self, key: tuple[Any, ...], data: Any) -> None:
        """Put data under the key; readers find the old file or the new one, never a part."""
        from numba.core.serialize import dumps

        path, stamp = self._path_and_stamp(key)
        content = dumps(data)  # type: ignore[no-untyped-call]
        draft = path.with_name(f"{path.name}.{uuid.uuid4().hex[:16]}")
        try:
            draft.write_bytes(stamp + hashlib.sha256(content).digest() + content)
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)

    def flush(self) -> None:
        """Forget every file of the function."""
        for path in self._folder.glob(f"{self._name}.*.nbc"):
            path.unlink(missing_ok=True)


def fingerprint(owner: Kernel, callers: tuple[Kernel, ...] = ()) -> str:
    """A digest of a kernel's code and options, of the constants it reads and of the kernels it calls."""
    code = owner.function.__code__
    parts: list[Any] = [
        # the order of names in a set changes from process to process
        [(name, sorted(value) if isinstance(value, set) else value) for name, value in sorted(owner.options.items())],
        code.co_code,
        code.co_names,
        [constant for constant in code.co_consts if type(constant) is not CodeType],
    ]
    for name in code.co_names:
        used = owner.function.__globals__.get(name)
        if isinstance(used, Kernel):
            if used not in (owner, *callers):
                parts.append(fingerprint(used, (owner, *callers)))
        elif isinstance(used, type):
            parts.append(getattr(used, "_fields", None))
        elif isinstance(used, (bool, int, float, str, tuple, np.generic)):
            parts.append(used)
    return hashlib.sha256(repr(parts).encode()).hexdigest()
