"""A worker that is a process of its own, and speaks over its standard input and output.

It is started as a plain interpreter: the caller's main module is imported there only where the solver was defined in
it, so that a training script does not load torch once a worker. A message is its length and its bytes.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from typing import IO, Any

from combdiff_solvers.pools.messages import pack, unpack
from combdiff_solvers.pools.worker_pool import RemoteWorker, WorkerDiedError

LENGTH = 8  # bytes of a message's length, little endian
END_SECONDS = 5.0  # how long a process that has closed its output is waited for

_abandoned: list[ProcessWorker] = []


def send(stream: IO[bytes], message: bytes) -> None:
    """Write one message."""
    stream.write(len(message).to_bytes(LENGTH, "little"))
    stream.write(message)
    stream.flush()


def receive(stream: IO[bytes]) -> bytes:
    """Read one message.

    Raises:
        EOFError: when the other side is gone.
    """
    head = stream.read(LENGTH)
    size = int.from_bytes(head, "little")
    body = stream.read(size) if len(head) == LENGTH else b""
    if len(head) < LENGTH or len(body) < size:
        raise EOFError("the other side is gone")
    return body


class ProcessWorker(RemoteWorker):
    """One process with a warm solver.

    Args:
        solver: the pickled solver.
    """

    starts_refused = False  # while a worker imports the caller's main module

    def __init__(self, solver: bytes) -> None:
        self._solver = solver
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False
        self._lock = threading.Lock()

    @property
    def pid(self) -> int | None:
        """Of the process, once it was started."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Begin the process, and wait until it has its solver.

        Raises:
            RuntimeError: in a worker that imports a main module which solves while it is imported.
            LoadError: when the solver cannot be unpickled there.
        """
        if self.starts_refused:
            raise RuntimeError(
                "the main module solves as soon as a worker imports it: put that under if __name__ == '__main__'"
            )
        path = [entry for entry in sys.path if isinstance(entry, str)]
        begin = f"import sys; sys.path[:] = {path!r}; from combdiff_solvers.pools.worker_process import main; main()"
        letters = "O" * sys.flags.optimize + "I" * sys.flags.isolated
        flags = [f"-{letters}"] * bool(letters) + [f"-W{option}" for option in sys.warnoptions]
        with self._lock:
            if self._stopped:
                raise WorkerDiedError("it was stopped before it began")
            self._process = subprocess.Popen(
                [sys.executable, *flags, "-c", begin],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={"OMP_NUM_THREADS": "1", **os.environ},
                start_new_session=True,  # Ctrl-C is the caller's, who ends it
            )
        unpack(self.ask(pack((sys.argv, main_module() if b"__main__" in self._solver else None, self._solver))))

    def ask(self, message: bytes) -> bytes:
        """Send a message and wait for its answer."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            send(process.stdin, message)
            return receive(process.stdout)
        except (OSError, EOFError, ValueError):  # ValueError: the pipe was closed by stop()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_SECONDS)  # else stop() could kill it first, and the reason would be lost
            self.stop()
            code = process.returncode
            raise WorkerDiedError(
                f"the process ended {f'by signal {-code}' if code < 0 else f'with exit code {code}'}"
            ) from None

    def stop(self) -> None:
        """Kill the process."""
        with self._lock:
            self._stopped = True
            if self._process is None or self._process.returncode is not None:
                return
            self._process.kill()
            self._process.wait()

    def abandon(self) -> None:
        """Close this process's ends of the pipes, and leave the worker to the parent.

        Not by `close()`, which could write what the parent has half written, or wait for a thread that is not here.
        """
        _abandoned.append(self)  # for the same reason it is never collected
        if self._process is not None:
            for stream in (self._process.stdin, self._process.stdout):
                getattr(stream, "raw", stream).close()  # type: ignore[union-attr]
            self._process.returncode = 0  # whoever asks must not wait for it


def main_module() -> tuple[str | None, str | None]:
    """The name by which `python -m` found the main module, else its path; neither in an interactive session."""
    main: Any = sys.modules["__main__"]
    return (None, getattr(main, "__file__", None)) if main.__spec__ is None else (main.__spec__.name, None)
