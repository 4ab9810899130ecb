"""Worker processes of which the death costs only the task that it had, and which are replaced.

They are plain interpreters: the caller's main module is imported there only where the solver was defined in it, so that
a training script does not load torch once a worker.

Measured against libraries: in pebble 5.2.3 a row that ends its process with exit code 0 never returns, a death in the
middle of an answer loses another worker's chunk, too, and two idle workers that are killed break the pool; in loky 3.7
one death breaks every chunk on its way, and nobody can tell which row killed.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from queue import SimpleQueue
from types import ModuleType
from typing import Any

from combdiff_solvers.pools.messages import PoolError, pack
from combdiff_solvers.pools.worker_pool import WorkerPool

END_SECONDS = 5.0  # how long a process that has closed its input is waited for


class ProcessPool(WorkerPool):
    """`size` processes, each started by the first task of its thread.

    Args:
        size: how many.
        main: whether they import the caller's main module.
    """

    def __init__(self, size: int, main: bool) -> None:
        self._own, self._main = threading.local(), main
        super().__init__(size)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What a function returns in this thread's process.

        Raises:
            RuntimeError: when the process ended; the text says how.
        """
        worker = getattr(self._own, "worker", None) or self._start()
        try:
            worker.pipe.send((function, arguments))
            return worker.pipe.recv()
        except (OSError, EOFError):
            with suppress(subprocess.TimeoutExpired):
                worker.wait(END_SECONDS)  # else `kill` could be first, and the reason would be lost
            worker.kill()
            code = worker.wait()
            self._own.worker = None
            self._workers.discard(worker)
            raise RuntimeError(
                f"the process ended {f'by signal {-code}' if code < 0 else f'with exit code {code}'}"
            ) from None

    def _start(self) -> WorkerProcess:
        self._own.worker = worker = WorkerProcess(main_module() if self._main else None)
        self._workers.add(worker)
        if self.closed:  # since when nobody has looked for processes
            worker.kill()
        return worker


class WorkerProcess(subprocess.Popen[bytes]):
    """A process that calls functions for the one that started it, while that one lives.

    Args:
        module: the main module that it imports.

    Raises:
        PoolError: in a process that imports a main module which solves while it is imported.
    """

    refused = False  # while a worker imports the caller's main module

    def __init__(self, module: tuple[str | None, str | None] | None) -> None:
        if self.refused:
            raise PoolError(
                "the main module solves as soon as a worker imports it: put that under if __name__ == '__main__'"
            )
        path = [entry for entry in sys.path if isinstance(entry, str)]
        begin = f"import sys; sys.path[:] = {path!r}; from {__name__} import main; main({sys.argv!r}, {module!r})"
        letters = "O" * sys.flags.optimize + "I" * sys.flags.isolated
        flags = [f"-{letters}"] * bool(letters) + [f"-W{option}" for option in sys.warnoptions]
        self.pipe, theirs = Pipe()
        with theirs:
            super().__init__(
                [sys.executable, *flags, "-c", begin],
                stdin=theirs.fileno(),
                env={"OMP_NUM_THREADS": "1", **os.environ},
                start_new_session=True,  # Ctrl-C is the caller's, who ends it
            )


def main_module() -> tuple[str | None, str | None]:
    """The name by which `python -m` found the main module, else its path; neither in an interactive session."""
    main: Any = sys.modules["__main__"]
    return (None, getattr(main, "__file__", None)) if main.__spec__ is None else (main.__spec__.name, None)


def main(arguments: list[str], module: tuple[str | None, str | None] | None) -> None:
    """In the worker: call one function after the other."""
    caller, sys.argv = Connection(os.dup(0)), arguments
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    requests: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_read, args=(caller, requests), daemon=True).start()
    failure = None
    try:
        if module is not None:
            import_main(*module)
    except BaseException as error:
        failure = pack(PoolError(f"{type(error).__name__}: {error}"))
    while True:
        function, values = requests.get()
        caller.send(failure or function(*values))


def import_main(name: str | None, path: str | None) -> None:
    """Import the caller's main module as `__main__`, but under the name `__mp_main__`, as `multiprocessing` does.

    Not a package's `__main__.py`, which has no guard and defines nothing.
    """
    WorkerProcess.refused = True
    if name is not None and not f".{name}".endswith(".__main__"):
        contents = runpy.run_module(name, run_name="__mp_main__", alter_sys=True)
    else:
        contents = {} if path is None else runpy.run_path(path, run_name="__mp_main__")
    module = ModuleType("__mp_main__")
    vars(module).update(contents)
    sys.modules["__main__"] = sys.modules["__mp_main__"] = module
    WorkerProcess.refused = False


def _read(caller: Connection, requests: SimpleQueue[Any]) -> None:
    """Take what comes; when the caller is gone, end at once, in the middle of a row too."""
    try:
        while True:
            requests.put(caller.recv())
    finally:
        os._exit(0)
