"""What travels between a caller and a worker in another process: bytes, so that any executor can carry it."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from typing import Any

from combdiff_solvers.chunks import ContractError, solve_safely
from combdiff_solvers.protocol import Solver
from combdiff_solvers.rows import PerThread

KEPT_SOLVERS = 4  # by each thread of a worker process

_loaded: PerThread[OrderedDict[bytes, Solver]] = PerThread(OrderedDict)


class PoolError(RuntimeError):
    """No worker is left, and another one would fare no better; the text says what to do."""


class TravelError(RuntimeError):
    """Rows or answers cannot be pickled or unpickled; no worker is to blame."""


def pickle_solver(solver: Solver, advice: str = "") -> bytes:
    """The description of a solver that is to be sent.

    Raises:
        TypeError: when it cannot be pickled.
    """
    try:
        return pickle.dumps(solver, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        raise TypeError(
            f"the {type(solver).__name__} cannot be sent to another process ({error}): define its function at the top "
            f"of a module (a lambda cannot be pickled){advice}"
        ) from error


def load_solver(pickled: bytes) -> Any:
    """The solver in a worker process.

    Raises:
        PoolError: when it cannot be unpickled.
    """
    try:
        return pickle.loads(pickled)
    except BaseException as error:
        raise PoolError(f"the solver cannot be loaded in another process: {type(error).__name__}: {error}") from error


def pack(content: object, kind: str = "rows") -> bytes:
    """A message.

    Raises:
        TravelError: when the content cannot be pickled.
    """
    try:
        return pickle.dumps(content, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        raise TravelError(f"the {kind} cannot be sent to another process: {type(error).__name__}: {error}") from error


def unpack(answer: bytes) -> Any:
    """What a worker answers, or raises: for rows, their Solutions and the seconds that they took."""
    try:
        found: Any = pickle.loads(answer)
    except Exception as error:
        raise TravelError(f"the answer cannot be loaded in this process: {type(error).__name__}: {error}") from error
    if isinstance(found, Exception):
        raise found
    return found


def reply(solver: Solver, message: bytes) -> bytes:
    """Solve the rows of a message; whatever happens becomes the answer."""
    try:
        theta, instances = pickle.loads(message)
    except Exception as error:
        reason = f"the rows cannot be loaded in another process: {type(error).__name__}: {error}"
        return pack(TravelError(reason))
    try:
        return pack(solve_safely(solver, theta, instances, caught=BaseException), "answer")
    except (ContractError, TravelError) as error:
        return pack(error)


def reply_by_digest(digest: bytes, pickled: bytes | None, message: bytes | None) -> bytes | None:
    """`reply` by the solver of that digest, which is kept warm; None if it is not known and was not sent.

    Without a message the solver is loaded, and no more.
    """
    known = _loaded.get()
    if digest not in known:
        if pickled is None:
            return None
        try:
            known[digest] = load_solver(pickled)
        except PoolError as error:
            return pack(error)
    known.move_to_end(digest)
    while len(known) > KEPT_SOLVERS:
        known.popitem(last=False)
    return pack(None) if message is None else reply(known[digest], message)
