"""The pseudo-Boolean format OPB."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain

from combdiff_solvers.formulas.formula import MAX_VARIABLES, AtMost, Formula, Soft
from combdiff_solvers.protocol import Sense

_HEADER = re.compile(r"\*\s*#variable=\s*([0-9]{1,18})\s+#constraint=\s*([0-9]{1,18})")
_MARK = re.compile(r"(>=|<=|(?<![<>])=|:)")
_NUMBER = re.compile(r"[+-]?[0-9]{1,400}")
_LITERAL = re.compile(r"(~?)x([0-9]{1,18})")


def read_opb(lines: Iterable[str]) -> tuple[Formula, Sense | None]:
    """Read linear pseudo-Boolean constraints, and an objective `min:` or `max:` if there is one.

    h is that objective. Products of variables, and soft constraints (`.wbo`), are refused.

    >>> formula, sense = read_opb(["* #variable= 2 #constraint= 1", "min: +3 x1 -1 x2 ;", "+1 x1 +1 ~x2 >= 1 ;"])
    >>> formula.at_most, sense
    ((AtMost(literals=(-1, 2), bound=1, weights=(1, 1)),), <Sense.MIN: 'min'>)
    """
    lines = iter(lines)
    first = next(lines, "")
    header = _HEADER.match(first)
    objective: list[tuple[int, int]] = []
    sense: Sense | None = None
    at_most: list[AtMost] = []
    constraints = 0
    for number, words in enumerate(_statements(chain([first], lines)), start=1):
        if words[1:2] == [":"] and words[0] in ("min", "max"):
            if number > 1:
                raise ValueError("the objective has to be the first statement, and there is only one")
            sense = Sense(words[0])
            objective = _terms(words[2:], number)
            continue
        constraints += 1
        at_most += _constraint(words, number)
    used = [*(literal for _, literal in objective), *(literal for one in at_most for literal in one.literals)]
    largest = max(map(abs, used), default=0)
    variables = largest
    if header:
        variables, announced = int(header[1]), int(header[2])
        if constraints < announced:
            raise ValueError(f"it announces {announced} constraints and has {constraints}: it was cut short")
        if largest > variables:
            raise ValueError(f"it uses x{largest}, but announces {variables} variables")
    if variables > MAX_VARIABLES:
        raise ValueError(f"it has {variables} variables, and more than {MAX_VARIABLES} are refused")
    sign = 1 if sense is Sense.MAX else -1  # paid is for a clause that fails (min), earned for one that holds (max)
    soft = tuple(Soft((sign * literal,), Fraction(weight)) for weight, literal in objective)
    return Formula(variables, (), tuple(at_most), soft), sense


def _statements(lines: Iterable[str]) -> Iterator[list[str]]:
    """The words between semicolons, without comment lines."""
    words: list[str] = []
    for line in lines:
        if not line or line.startswith("*"):
            continue
        *ends, rest = _MARK.sub(r" \1 ", line).split(";")
        for end in ends:
            yield words + end.split()
            words = []
        words += rest.split()
    if words:
        raise ValueError(f"it ends inside a statement, {' '.join(words)[:40]!r}: it was cut short")


def _terms(words: list[str], statement: int) -> list[tuple[int, int]]:
    """(weight, literal) pairs."""
    terms = []
    for place in range(0, len(words), 2):
        weight, name = words[place], words[place + 1] if place + 1 < len(words) else ""
        literal = _LITERAL.fullmatch(name)
        if not _NUMBER.fullmatch(weight) or literal is None or int(literal[2]) < 1:
            product = _LITERAL.fullmatch(weight)
            what = "products of variables are not supported" if product else "want a number and x1, x2, ..."
            raise ValueError(f"statement {statement}: {f'{weight} {name}'[:40]!r}: {what}")
        terms.append((int(weight), int(literal[2]) * (-1 if literal[1] else 1)))
    return terms


def _constraint(words: list[str], statement: int) -> Iterable[AtMost]:
    if len(words) < 2 or words[-2] not in (">=", "<=", "=") or not _NUMBER.fullmatch(words[-1]):
        raise ValueError(f"statement {statement}: {' '.join(words)[:40]!r} does not end in '>= NUMBER', '<= ' or '= '")
    terms, side = _terms(words[:-2], statement), int(words[-1])
    if words[-2] in ("<=", "="):
        yield AtMost.of(terms, side)
    if words[-2] in (">=", "="):
        yield AtMost.of([(-weight, literal) for weight, literal in terms], -side)
