"""What runs inside a worker process: read a chunk, solve it, write the answer, until the caller is gone."""

from __future__ import annotations

import os
import pickle
import queue
import runpy
import sys
import threading
from types import ModuleType
from typing import IO

from combdiff_solvers.pools.messages import LoadError, load_solver, pack, reply
from combdiff_solvers.pools.process_worker import ProcessWorker, receive, send


def main() -> None:
    """Serve the process at the other end of standard input and output."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a solver prints must not come between the answers
    source = os.fdopen(os.dup(0), "rb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(source, waiting), daemon=True).start()
    sys.argv, main_module, pickled = pickle.loads(waiting.get())
    try:
        if main_module is not None:
            import_main(*main_module)
        solver = load_solver(pickled)
    except BaseException as error:
        send(output, pack(error if isinstance(error, LoadError) else LoadError(f"{type(error).__name__}: {error}")))
        sys.exit(1)
    send(output, pack("ready"))
    while True:
        send(output, reply(solver, waiting.get()))


def import_main(name: str | None, path: str | None) -> None:
    """Import the caller's main module as `__main__`, but under the name `__mp_main__`, as `multiprocessing` does.

    Not a package's `__main__.py`, which has no guard and defines nothing.
    """
    ProcessWorker.starts_refused = True
    if name is not None and not f".{name}".endswith(".__main__"):
        contents = runpy.run_module(name, run_name="__mp_main__", alter_sys=True)
    elif path is not None:
        contents = runpy.run_path(path, run_name="__mp_main__")
    else:
        contents = {}
    module = ModuleType("__mp_main__")
    vars(module).update(contents)
    sys.modules["__main__"] = sys.modules["__mp_main__"] = module
    ProcessWorker.starts_refused = False


def _read(source: IO[bytes], waiting: queue.SimpleQueue[bytes]) -> None:
    """Take what comes; when the caller is gone, end at once, in the middle of a row too."""
    try:
        while True:
            waiting.put(receive(source))
    except EOFError:
        os._exit(0)
