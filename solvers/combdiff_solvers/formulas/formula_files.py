"""Formula files: DIMACS `.cnf`, `.wcnf` (old and new format), PySAT's `.cnf+` and `.wcnf+`, pseudo-Boolean
`.opb`; plain or `.gz`.

The readers are strict: what a file announces (variables, clauses) must be there, so that a file that was cut short is
refused and not half read. PySAT's reader takes a twelfth of the time (80,000 clauses: 0.08 s, ours 1.0 s), but accepts
9 of the 12 broken CNF files of the tests, and does not come back from a weight of 1e99999999.

Sources: DIMACS (1993) satisfiability suggested format; MaxSAT evaluations' old format and the one of 2022;
pseudo-Boolean competition format of Roussel and Manquinho (2012), without products of variables.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from functools import partial
from itertools import chain
from typing import Any, Literal, NamedTuple

from combdiff_solvers.files import MAX_BYTES, MAX_TOKENS, FilePath, read_lines
from combdiff_solvers.formulas.formula import MAX_VARIABLES, AtMost, Formula, Soft
from combdiff_solvers.formulas.formula_model import wrap_formula
from combdiff_solvers.formulas.opb_format import read_opb
from combdiff_solvers.protocol import Sense, Solver
from combdiff_solvers.wrap import options_of


class _Token(NamedTuple):
    line: int
    text: str


def read_formula(
    path: FilePath, max_bytes: int = MAX_BYTES, max_tokens: int = MAX_TOKENS
) -> tuple[Formula, Sense | None]:
    """Read a formula, and the sense of its objective where the format has one; the limits are those of `read_lines`.

    Raises:
        OSError: when the file cannot be opened.
        ValueError: for a file that is cut short or otherwise not of its format; it names file and line.
    """
    name = os.fspath(path)
    suffix = os.path.splitext(name.lower().removesuffix(".gz"))[1]
    if suffix not in _READERS:
        raise ValueError(f"{name!r} has none of the suffixes {', '.join(_READERS)} (each also with .gz)")
    try:
        return _READERS[suffix](read_lines(path, max_bytes, max_tokens))
    except ValueError as error:
        raise ValueError(f"cannot read {name!r} as {suffix}: {error}") from error


def _tokens(lines: Iterable[str]) -> Iterator[_Token]:
    """The tokens of all lines but comments; a line that begins with % ends the file (a habit of SATLIB)."""
    for number, line in enumerate(lines, start=1):
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


def _clause_or_bound(tokens: Iterator[_Token], variables: int, bounds: bool) -> tuple[int, ...] | AtMost:
    """Literals up to the next 0; or `LITERALS <= K`, `LITERALS >= K`, `w WEIGHT*LITERAL ... <= K` as PySAT has them."""
    literals: list[int] = []
    weights: list[int] = []
    weighted = False
    for token in tokens:
        text = token.text
        if bounds and text == "w" and not (literals or weighted):
            weighted = True
            continue
        if bounds and text in ("<=", ">="):
            side, sign = next(tokens, None), 1 if text == "<=" else -1
            if side is None:
                raise ValueError("the file ends inside a constraint: it was cut short")
            terms = zip(weights if weighted else [1] * len(literals), literals, strict=True)
            return AtMost.of([(sign * weight, one) for weight, one in terms], sign * _integer(side, "a bound"))
        if weighted:
            weight, star, text = text.partition("*")
            if not star:
                raise ValueError(f"line {token.line}: {token.text[:40]!r} is not WEIGHT*LITERAL, <= or >=")
            weights.append(_integer(_Token(token.line, weight), "a weight"))
            token = _Token(token.line, text)
        literal = _integer(token, "a literal")
        if literal == 0 and not weighted:
            return tuple(dict.fromkeys(literals))
        if not 1 <= abs(literal) <= variables:
            raise ValueError(f"line {token.line}: literal {literal}, but the variables are 1..{variables}")
        literals.append(literal)
    raise ValueError("the file ends inside a clause: it was cut short")


def read_dimacs(lines: Iterable[str], kind: Literal["cnf", "wcnf"], plus: bool = False) -> tuple[Formula, None]:
    """Read DIMACS CNF, or weighted CNF: the old format with a `p wcnf` line, or the new one with `h` for hard clauses.

    With plus it is PySAT's CNF+ or WCNF+, with hard constraints such as `1 -2 3 <= 2` and `w 2*1 3*-2 >= 3`.

    >>> read_dimacs(["c a comment", "p cnf 2 2", "1 -2 0 2", "0"], "cnf")[0].hard
    ((1, -2), (2,))
    >>> read_dimacs(["p cnf+ 2 2", "1 -2 0", "1 2 <= 1"], "cnf", plus=True)[0].at_most
    (AtMost(literals=(1, 2), bound=1, weights=(1, 1)),)
    >>> new, old = ["h 1 2 0", "3 -1 0"], ["p wcnf 2 2 10", "10 1 2 0", "3 -1 0"]
    >>> read_dimacs(new, "wcnf")[0] == read_dimacs(old, "wcnf")[0]
    True
    """
    tokens = _tokens(lines)
    first = next(tokens, None)
    variables, announced, top = MAX_VARIABLES, None, None
    if kind == "cnf" or (first is not None and first.text == "p"):
        head, name = first, next(tokens, None)
        known = (kind, f"{kind}+") if plus else (kind,)
        if head is None or head.text != "p" or name is None or name.text not in known:
            raise ValueError(f"it does not begin with a line 'p {kind}{'+' * plus} VARIABLES CLAUSES'")
        variables = _count(next(tokens, None), "a number of variables", MAX_VARIABLES)
        clauses = next(tokens, None)
        announced = _count(clauses, "a number of clauses")
        first = next(tokens, None)
        if kind == "wcnf" and first is not None and clauses is not None and first.line == clauses.line:
            top, first = _weight(first), next(tokens, None)
    hard: list[tuple[int, ...]] = []
    soft: list[Soft] = []
    at_most: list[AtMost] = []
    while first is not None:
        weight = None if kind == "cnf" or first.text == "h" else _weight(first)
        one = _clause_or_bound(chain([first], tokens) if kind == "cnf" else tokens, variables, bounds=plus)
        is_hard = weight is None or (top is not None and weight >= top)
        if isinstance(one, AtMost):
            if not is_hard:
                raise ValueError(f"line {first.line}: a constraint has to be hard, but its weight is {first.text[:40]}")
            at_most.append(one)
        elif weight is None or is_hard:
            hard.append(one)
        else:
            soft.append(Soft(one, weight))
        first = next(tokens, None)
    found = len(hard) + len(soft) + len(at_most)
    if announced is None:
        used = (*hard, *(one.clause for one in soft), *(one.literals for one in at_most))
        variables = max((abs(literal) for literals in used for literal in literals), default=0)
    elif found != announced:
        short = ": it was cut short" if found < announced else ""
        raise ValueError(f"it announces {announced} clauses and has {found}{short}")
    return Formula(variables, tuple(hard), tuple(at_most), tuple(soft)), None


def _weight(token: _Token) -> Fraction:
    if not re.fullmatch(r"[+-]?[0-9]{1,400}(\.[0-9]{1,400})?", token.text):
        raise ValueError(f"line {token.line}: {token.text[:40]!r} is neither 'h' nor a weight")
    return Fraction(token.text)


_READERS: dict[str, Callable[[Iterator[str]], tuple[Formula, Sense | None]]] = {
    ".cnf": partial(read_dimacs, kind="cnf"),
    ".cnf+": partial(read_dimacs, kind="cnf", plus=True),
    ".wcnf": partial(read_dimacs, kind="wcnf"),
    ".wcnf+": partial(read_dimacs, kind="wcnf", plus=True),
    ".opb": read_opb,
}


@options_of(wrap_formula)
def wrap_formula_file(
    path: FilePath,
    /,
    variables: Any = None,
    *,
    sense: Sense | str | None = None,
    max_bytes: int = MAX_BYTES,
    max_tokens: int = MAX_TOKENS,
    **options: Any,
) -> Solver:
    """`combdiff.wrap` for a formula file: see `wrap_formula`, and `wrap_file` for the limits.

    Raises:
        ValueError: also for a sense that contradicts the file's own objective.
    """
    formula, own = read_formula(path, max_bytes, max_tokens)
    if own is not None and sense is not None and Sense(sense) is not own:
        raise ValueError(f"sense={Sense(sense).value!r}, but the file's own objective is to be {own.value}imized")
    return wrap_formula(formula, variables, sense=own or sense, **options)
