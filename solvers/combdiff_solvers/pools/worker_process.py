"""What runs inside a worker process: read a chunk, solve it, write the answer, until the caller is gone."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
import sys
import threading
from multiprocessing import spawn
from typing import IO

from combdiff_solvers.chunks import ContractError, solve_safely
from combdiff_solvers.pools.process_worker import READY, receive, send


def main() -> None:
    """Serve the process at the other end of standard input and output."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a solver prints must not come between the answers
    source = os.fdopen(os.dup(0), "rb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(source, waiting), daemon=True).start()
    try:
        surroundings, pickled = pickle.loads(waiting.get())
        this = multiprocessing.current_process()
        this._inheriting = True  # type: ignore[attr-defined]  # a main module that starts workers now is stopped
        spawn.prepare(surroundings)
        del this._inheriting  # type: ignore[attr-defined]
        solver = pickle.loads(pickled)
    except BaseException as error:
        _answer(output, f"the solver cannot be loaded in another process: {type(error).__name__}: {error}")
        sys.exit(1)
    _answer(output, READY)
    while True:
        message = waiting.get()
        try:
            theta, instances = pickle.loads(message)
        except Exception as error:
            _answer(output, f"the rows cannot be loaded in another process: {type(error).__name__}: {error}")
            continue
        try:
            _answer(output, solve_safely(solver, theta, instances, caught=BaseException))
        except ContractError as error:
            _answer(output, error)


def _answer(output: IO[bytes], answer: object) -> None:
    try:
        message = pickle.dumps(answer, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        reason = f"the answer cannot be sent to the caller's process: {type(error).__name__}: {error}"
        message = pickle.dumps(reason, protocol=pickle.HIGHEST_PROTOCOL)
    send(output, message)


def _read(source: IO[bytes], waiting: queue.SimpleQueue[bytes]) -> None:
    """Take what comes; when the caller is gone, end at once, in the middle of a row too."""
    try:
        while True:
            waiting.put(receive(source))
    except EOFError:
        os._exit(0)
