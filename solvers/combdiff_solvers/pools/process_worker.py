"""A worker that is a process of its own, and speaks over its standard input and output.

It is started as a plain interpreter: the caller's main module is imported there only where the solver was defined in
it, so that a training script does not load torch once a worker. What passes the pipes are pickles of messages.

Measured against libraries: in pebble 5.2.3 a row that ends its process with exit code 0 never returns, a death in the
middle of an answer loses another worker's chunk, too, and two idle workers that are killed break the pool; in loky 3.7
one death breaks every chunk on its way, and nobody can tell which row killed.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import runpy
import subprocess
import sys
import threading
from types import ModuleType
from typing import IO, Any

from combdiff_solvers.pools.messages import PoolError, load_solver, pack, reply
from combdiff_solvers.pools.worker_pool import RemoteWorker, WorkerDiedError

END_SECONDS = 5.0  # how long a process that has closed its output is waited for

_abandoned: list[object] = []


class ProcessWorker(RemoteWorker):
    """One process with a warm solver.

    Args:
        solver: the pickled solver.

    Raises:
        RuntimeError: in a worker that imports a main module which solves while it is imported.
    """

    starts_refused = False  # while a worker imports the caller's main module

    def __init__(self, solver: bytes) -> None:
        super().__init__(solver)
        if self.starts_refused:
            raise RuntimeError(
                "the main module solves as soon as a worker imports it: put that under if __name__ == '__main__'"
            )
        path = [entry for entry in sys.path if isinstance(entry, str)]
        begin = f"import sys; sys.path[:] = {path!r}; from combdiff_solvers.pools.process_worker import main; main()"
        letters = "O" * sys.flags.optimize + "I" * sys.flags.isolated
        flags = [f"-{letters}"] * bool(letters) + [f"-W{option}" for option in sys.warnoptions]
        self._process = subprocess.Popen(
            [sys.executable, *flags, "-c", begin],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"OMP_NUM_THREADS": "1", **os.environ},
            start_new_session=True,  # Ctrl-C is the caller's, who ends it
        )
        self.pid = self._process.pid

    def ask(self, message: bytes | None) -> bytes:
        """Send a message and wait for its answer."""
        if message is None:
            message = pack((sys.argv, main_module() if b"__main__" in self.solver else None, self.solver))
        try:
            send(self._process.stdin, message)
            return bytes(pickle.load(self._process.stdout))  # type: ignore[arg-type]
        except (OSError, EOFError, pickle.UnpicklingError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(END_SECONDS)  # else stop() could kill it first, and the reason would be lost
            self.stop()
            code = self._process.returncode
            raise WorkerDiedError(
                f"the process ended {f'by signal {-code}' if code < 0 else f'with exit code {code}'}"
            ) from None

    def stop(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.wait()

    def abandon(self) -> None:
        """Close this process's ends of the pipes, and leave the worker to the parent.

        Not by `close()`, which could write what the parent has half written, or wait for a thread that is not here.
        """
        _abandoned.append(self._process)  # for the same reason it is never collected
        for stream in (self._process.stdin, self._process.stdout):
            stream.raw.close()  # type: ignore[union-attr]
        self._process.returncode = 0  # whoever asks must not wait for it


def send(stream: IO[bytes] | None, message: bytes) -> None:
    """Write one message."""
    assert stream is not None
    pickle.dump(message, stream, protocol=pickle.HIGHEST_PROTOCOL)
    stream.flush()


def main_module() -> tuple[str | None, str | None]:
    """The name by which `python -m` found the main module, else its path; neither in an interactive session."""
    main: Any = sys.modules["__main__"]
    return (None, getattr(main, "__file__", None)) if main.__spec__ is None else (main.__spec__.name, None)


def main() -> None:
    """In the worker: read a chunk, solve it, write the answer, until the caller is gone."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a solver prints must not come between the answers
    source = os.fdopen(os.dup(0), "rb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(source, waiting), daemon=True).start()
    sys.argv, caller, pickled = pickle.loads(waiting.get())
    try:
        if caller is not None:
            import_main(*caller)
        solver = load_solver(pickled)
    except BaseException as error:
        send(output, pack(error if isinstance(error, PoolError) else PoolError(f"{type(error).__name__}: {error}")))
        return
    send(output, pack(None))
    while True:
        send(output, reply(solver, waiting.get()))


def import_main(name: str | None, path: str | None) -> None:
    """Import the caller's main module as `__main__`, but under the name `__mp_main__`, as `multiprocessing` does.

    Not a package's `__main__.py`, which has no guard and defines nothing.
    """
    ProcessWorker.starts_refused = True
    if name is not None and not f".{name}".endswith(".__main__"):
        contents = runpy.run_module(name, run_name="__mp_main__", alter_sys=True)
    else:
        contents = {} if path is None else runpy.run_path(path, run_name="__mp_main__")
    module = ModuleType("__mp_main__")
    vars(module).update(contents)
    sys.modules["__main__"] = sys.modules["__mp_main__"] = module
    ProcessWorker.starts_refused = False


def _read(source: IO[bytes], waiting: queue.SimpleQueue[bytes]) -> None:
    """Take what comes; when the caller is gone, end at once, in the middle of a row too."""
    try:
        while True:
            waiting.put(pickle.load(source))
    finally:
        os._exit(0)
