"""What travels between a caller and a worker in another process: bytes, so that any executor can carry it."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from combdiff_solvers.chunks import ContractError, solve_safely
from combdiff_solvers.protocol import Solver
from combdiff_solvers.rows import PerThread

MAIN = b"__main__"  # what the pickle of something that the main module defines has in it
KEPT_SOLVERS = 4  # by each thread of a worker process

_loaded: PerThread[dict[bytes, Solver]] = PerThread(dict)


class PoolError(RuntimeError):
    """No worker is left, and another one would fare no better; the text says what to do."""


class TravelError(RuntimeError):
    """Rows or answers cannot be pickled or unpickled; no worker is to blame."""


class WorkerDiedError(Exception):
    """A worker ended while it had a chunk; the text says how."""


@contextmanager
def raising(kind: type[Exception], text: str, caught: type[BaseException] = Exception) -> Iterator[None]:
    """What is caught in the block is raised as another kind of error, with a text before its own."""
    try:
        yield
    except caught as error:
        raise kind(f"{text}: {type(error).__name__}: {error}") from error


def dumps(content: object, main: bool = False) -> bytes:
    """A pickle; by value for what the main module defines, if `main`: workers do not import it."""
    if main:
        import cloudpickle

        return bytes(cloudpickle.dumps(content))
    return pickle.dumps(content, protocol=pickle.HIGHEST_PROTOCOL)


def pickle_solver(solver: Solver) -> bytes:
    """The description of a solver that is to be sent.

    Raises:
        TypeError: when it cannot be pickled.
    """
    try:
        pickled = dumps(solver)
        return dumps(solver, main=True) if MAIN in pickled else pickled
    except Exception as error:
        raise TypeError(
            f"the {type(solver).__name__} cannot be sent to another process ({error}): define its function at the top "
            "of a module (a lambda cannot be pickled), or use threads"
        ) from error


def pack(content: object, kind: str = "rows", main: bool = False) -> bytes:
    """A message; a TravelError when the content cannot be pickled."""
    with raising(TravelError, f"the {kind} cannot be sent to another process"):
        return dumps(content, main)


def unpack(answer: bytes) -> Any:
    """What a worker answers, or raises: for rows, their Solutions and the seconds that they took."""
    with raising(TravelError, "the answer cannot be loaded in this process"):
        found: Any = pickle.loads(answer)
    if isinstance(found, Exception):
        raise found
    return found


def reply_by_digest(digest: bytes, pickled: bytes | None, message: bytes | None) -> bytes | None:
    """In a worker: the rows of a message, solved by the solver of that digest; whatever happens becomes the answer.

    The solver is kept warm. The answer is None if it is not known and was not sent. Without a message the solver is
    loaded, and no more.
    """
    known = _loaded.get()
    try:
        if digest not in known:
            if pickled is None:
                return None
            with raising(PoolError, "the solver cannot be loaded in another process", BaseException):
                known[digest] = pickle.loads(pickled)
        known[digest] = solver = known.pop(digest)  # now the last to be forgotten
        if len(known) > KEPT_SOLVERS:
            del known[next(iter(known))]
        if message is None:
            return pack(None)
        with raising(TravelError, "the rows cannot be loaded in another process"):
            theta, instances = pickle.loads(message)
        return pack(solve_safely(solver, theta, instances, caught=BaseException), "answer")
    except (ContractError, PoolError, TravelError) as error:
        return pack(error)
