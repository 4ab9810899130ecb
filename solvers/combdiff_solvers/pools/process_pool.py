"""Worker processes of which the death costs only the task that it had, and which are replaced.

They are plain interpreters, which never import the caller's main module: so a training script does not load torch once
a worker, and needs no `if __name__ == "__main__"`.

Measured against libraries, with one process in each of their pools: in pebble 5.2.3 workers import the main module, and
a task whose process ends with exit code 0 never returns; a pool of loky 3.7 takes nothing more after a death.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from queue import SimpleQueue
from typing import Any

from combdiff_solvers.pools.worker_pool import WorkerPool

END_SECONDS = 5.0  # how long a process that has closed its input is waited for


class ProcessPool(WorkerPool):
    """Threads of which each has a process, started by its first task and by the next one after a death."""

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What a function returns in this thread's process.

        Raises:
            RuntimeError: when the process ended; the text says how.
        """
        thread = threading.get_ident()
        process = self.processes.get(thread)
        if process is None:
            self.processes[thread] = process = WorkerProcess()
            if self.closed:  # since when nobody has looked for processes
                process.kill()
        try:
            process.pipe.send_bytes(pickle.dumps((function, arguments)))
            return process.pipe.recv()
        except (OSError, EOFError):
            with suppress(subprocess.TimeoutExpired):
                process.wait(END_SECONDS)  # else `kill` could be first, and the reason would be lost
            process.kill()
            code = process.wait()
            self.processes.pop(thread, None)
            raise RuntimeError(
                f"the process ended {f'by signal {-code}' if code < 0 else f'with exit code {code}'}"
            ) from None


class WorkerProcess(subprocess.Popen[bytes]):
    """A process that calls functions for the one that started it, and ends with it."""

    def __init__(self) -> None:
        path = [entry for entry in sys.path if isinstance(entry, str)]
        begin = f"import sys; sys.path[:] = {path!r}; from {__name__} import main; main()"
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


def main() -> None:
    """In the worker: call one function after the other."""
    caller = Connection(os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    tasks: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_read, args=(caller, tasks), daemon=True).start()
    while True:
        function, arguments = tasks.get()
        caller.send_bytes(pickle.dumps(function(*arguments)))


def _read(caller: Connection, tasks: SimpleQueue[Any]) -> None:
    """Take what comes; when the caller is gone, end at once, in the middle of a row too."""
    try:
        while True:
            tasks.put(caller.recv())
    finally:
        os._exit(0)
