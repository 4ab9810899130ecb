"""Leave the interpreter while threads are still in native code."""

from __future__ import annotations

import contextlib
import ctypes
import sys


def hang_instead_of_abort() -> None:
    """Have a thread that comes back from C++ after the interpreter's end wait for the end of the process.

    To be called at the end of the interpreter. CPython before 3.14 ends such a thread by `pthread_exit`, which unwinds
    its stack as an exception does; at the first destructor of a C++ library (OR-Tools releases the GIL by one) that is
    `std::terminate`, which aborts the whole process. CPython 3.14 has the thread hang, and so does this: it makes
    `pause` the handler of `std::terminate`. Only glibc unwinds in `pthread_exit`, so other systems need nothing.
    """
    if sys.platform != "linux" or sys.version_info >= (3, 14):
        return
    with contextlib.suppress(OSError, AttributeError):  # another libc: nothing to mend
        set_terminate = ctypes.CDLL("libstdc++.so.6")._ZSt13set_terminatePFvvE
        set_terminate.argtypes, set_terminate.restype = [ctypes.c_void_p], ctypes.c_void_p
        set_terminate(ctypes.cast(ctypes.CDLL(None).pause, ctypes.c_void_p))
