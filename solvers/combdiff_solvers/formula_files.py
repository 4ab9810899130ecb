"""Formula files: DIMACS `.cnf`, `.wcnf` (old and new format), pseudo-Boolean `.opb`; plain or `.gz`.

The readers are strict: what a file announces (variables, clauses) must be there, so that a file that was cut short is
refused and not half read.

Sources: DIMACS (1993) satisfiability suggested format; MaxSAT evaluations' old format and the one of 2022;
pseudo-Boolean competition format of Roussel and Manquinho (2012), without products of variables.
"""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, NamedTuple

from combdiff_solvers._opb_format import read_opb
from combdiff_solvers.formula import MAX_VARIABLES, Formula, Soft
from combdiff_solvers.formula_model import wrap_formula
from combdiff_solvers.protocol import Sense, Solver

__all__ = ["read_formula", "wrap_formula_file"]

MAX_BYTES = 2**30
"""a file that is larger (unpacked) is refused: it would not be solved anyway"""


class _Token(NamedTuple):
    line: int
    text: str


def _bytes_of(path: str | os.PathLike[str]) -> bytes:
    packed = os.fspath(path).lower().endswith(".gz")
    try:
        with gzip.open(path) if packed else open(path, "rb") as file:
            content: bytes = file.read(MAX_BYTES + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"it is not a whole gzip file ({error})") from error
    if len(content) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES} bytes")
    return content


def read_formula(path: str | os.PathLike[str]) -> tuple[Formula, Sense | None]:
    """Read a formula, and the sense of its objective where the format has one.

    Raises:
        OSError: when the file cannot be opened.
        ValueError: for a file that is cut short or otherwise not of its format; it names file and line.
    """
    name = os.fspath(path)
    suffix = os.path.splitext(name.lower().removesuffix(".gz"))[1]
    if suffix not in _READERS:
        raise ValueError(f"{name!r} has none of the suffixes {', '.join(_READERS)} (each also with .gz)")
    try:
        return _READERS[suffix](_bytes_of(path).decode("utf-8", errors="replace"))
    except ValueError as error:
        raise ValueError(f"cannot read {name!r} as {suffix}: {error}") from error


def _tokens(text: str) -> Iterator[_Token]:
    """The tokens of all lines but comments; a line that begins with % ends the file (a habit of SATLIB)."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.startswith("%"):
            return
        if line[:1] == "c" and (len(line) == 1 or not line[1].isalnum()):
            continue
        for token in line.split():
            yield _Token(number, token)


def _integer(token: _Token, what: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,4000}", token.text):
        raise ValueError(f"line {token.line}: {token.text[:40]!r} is not {what}")
    return int(token.text)


def _count(token: _Token | None, what: str, most: int | None = None) -> int:
    if token is None:
        raise ValueError(f"the file ends before {what}")
    count = _integer(token, what)
    if count < 0 or (most is not None and count > most):
        raise ValueError(f"line {token.line}: {count} is not {what}" + (f" (at most {most})" if most else ""))
    return count


def _clause(tokens: Iterator[_Token], first: _Token | None, variables: int) -> tuple[int, ...]:
    """Literals up to the next 0."""
    clause: list[int] = []
    token = first if first is not None else next(tokens, None)
    while True:
        if token is None:
            raise ValueError("the file ends inside a clause: it was cut short")
        literal = _integer(token, "a literal")
        if literal == 0:
            return tuple(dict.fromkeys(clause))
        if abs(literal) > variables:
            raise ValueError(f"line {token.line}: literal {literal}, but the variables are 1..{variables}")
        clause.append(literal)
        token = next(tokens, None)


def _check_number(found: int, announced: int | None) -> None:
    if announced is not None and found != announced:
        short = ": it was cut short" if found < announced else ""
        raise ValueError(f"it announces {announced} clauses and has {found}{short}")


def read_cnf(text: str) -> tuple[Formula, None]:
    """Read DIMACS CNF.

    >>> read_cnf("c a comment\\np cnf 2 2\\n1 -2 0 2\\n0\\n")[0].hard
    ((1, -2), (2,))
    """
    tokens = _tokens(text)
    head = [next(tokens, None) for _ in range(2)]
    if [token and token.text for token in head] != ["p", "cnf"]:
        raise ValueError("it does not begin with a line 'p cnf VARIABLES CLAUSES'")
    variables = _count(next(tokens, None), "a number of variables", MAX_VARIABLES)
    announced = _count(next(tokens, None), "a number of clauses")
    hard = []
    for first in tokens:
        hard.append(_clause(tokens, first, variables))
    _check_number(len(hard), announced)
    return Formula(variables, tuple(hard)), None


def read_wcnf(text: str) -> tuple[Formula, None]:
    """Read weighted CNF: the old format with a `p wcnf` line, or the new one with `h` before hard clauses.

    >>> read_wcnf("h 1 2 0\\n3 -1 0\\n")[0] == read_wcnf("p wcnf 2 2 10\\n10 1 2 0\\n3 -1 0\\n")[0]
    True
    """
    tokens = _tokens(text)
    first = next(tokens, None)
    variables, announced, top = MAX_VARIABLES, None, None
    if first is not None and first.text == "p":
        kind = next(tokens, None)
        if kind is None or kind.text != "wcnf":
            raise ValueError("its 'p' line is not 'p wcnf VARIABLES CLAUSES [TOP]'")
        variables = _count(next(tokens, None), "a number of variables", MAX_VARIABLES)
        clauses = next(tokens, None)
        announced = _count(clauses, "a number of clauses")
        assert clauses is not None
        first = next(tokens, None)
        if first is not None and first.line == clauses.line:
            top = _weight(first)
            first = next(tokens, None)
    hard: list[tuple[int, ...]] = []
    soft: list[Soft] = []
    while first is not None:
        weight = None if first.text == "h" else _weight(first)
        clause = _clause(tokens, None, variables)
        if weight is None or (top is not None and weight >= top):
            hard.append(clause)
        else:
            soft.append(Soft(clause, weight))
        first = next(tokens, None)
    _check_number(len(hard) + len(soft), announced)
    if announced is None:
        variables = max(
            (abs(literal) for clause in (*hard, *(one.clause for one in soft)) for literal in clause), default=0
        )
    return Formula(variables, tuple(hard), (), tuple(soft)), None


def _weight(token: _Token) -> Fraction:
    if not re.fullmatch(r"[+-]?[0-9]{1,400}(\.[0-9]{1,400})?", token.text):
        raise ValueError(f"line {token.line}: {token.text[:40]!r} is neither 'h' nor a weight")
    return Fraction(token.text)


_READERS: dict[str, Callable[[str], tuple[Formula, Sense | None]]] = {
    ".cnf": read_cnf,
    ".wcnf": read_wcnf,
    ".opb": read_opb,
}


def wrap_formula_file(
    path: str | os.PathLike[str], /, variables: Any = None, *, sense: Sense | str | None = None, **options: Any
) -> Solver:
    """`combdiff.wrap` for a formula file: see `wrap_formula`.

    Raises:
        ValueError: also for a sense that contradicts the file's own objective.
    """
    formula, own = read_formula(path)
    if own is not None and sense is not None and Sense(sense) is not own:
        raise ValueError(f"sense={Sense(sense).value!r}, but the file's own objective is to be {own.value}imized")
    return wrap_formula(formula, variables, sense=own or sense, **options)
