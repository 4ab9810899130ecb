"""A worker that is a process of its own, and speaks over its standard input and output.

It is started as a plain interpreter: the caller's main module is imported there only where the solver was defined in
it, so that a training script does not load torch once a worker. A message is its length and a pickle.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Sequence
from multiprocessing import spawn
from typing import IO, Any

from jaxtyping import Float64
from numpy import ndarray

from combdiff_solvers.chunks import ContractError
from combdiff_solvers.pools.crew import WorkerBrokenError, WorkerDiedError
from combdiff_solvers.protocol import Solutions

LENGTH = 8  # bytes of a message's length, little endian
READY = "ready"
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


class ProcessWorker:
    """One process with a warm solver.

    Args:
        solver: the pickled solver.
    """

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
        """Begin the process, and wait until it has its solver."""
        path = [entry for entry in sys.path if isinstance(entry, str)]
        begin = f"import sys; sys.path[:] = {path!r}; from combdiff_solvers.pools.worker_process import main; main()"
        flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
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
        answer = self._ask((_surroundings(self._solver), self._solver))
        if answer != READY:
            raise WorkerBrokenError(answer)

    def solve(self, theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None) -> tuple[Solutions, float]:
        """Send a chunk and wait for its answer."""
        answer = self._ask((theta, instances))
        if isinstance(answer, ContractError):
            raise answer
        if isinstance(answer, str):
            raise RuntimeError(answer)
        found: tuple[Solutions, float] = answer
        return found

    def _ask(self, question: object) -> Any:
        message = pickle.dumps(question, protocol=pickle.HIGHEST_PROTOCOL)
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            send(process.stdin, message)
            answer = receive(process.stdout)
        except (OSError, EOFError, ValueError):  # ValueError: the pipe was closed by stop()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_SECONDS)  # else stop() could kill it first, and the reason would be lost
            self.stop()
            code = process.returncode
            raise WorkerDiedError(
                f"the process ended {f'by signal {-code}' if code < 0 else f'with exit code {code}'}"
            ) from None
        return pickle.loads(answer)

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


def _surroundings(solver: bytes) -> dict[str, Any]:
    """What the interpreter of a worker has to know; the main module only where the solver needs it."""
    known: dict[str, Any] = spawn.get_preparation_data("combdiff-worker")
    kept = ["sys_argv", "dir"]
    if b"__main__" in solver:
        kept += ["init_main_from_name", "init_main_from_path"]
    return {name: known[name] for name in kept if name in known}
