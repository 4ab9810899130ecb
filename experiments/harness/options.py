"""Settings as dataclasses: their fields are options of the command line and keys of `config.json`."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import Field, dataclass, field, fields
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from experiments.harness.errors import InputError

SEEDS = 2**32 - 1
"""seeds and splits are below it: NumPy's and scikit-learn's generators take no larger ones"""
Heat = float | str
"""a temperature; "auto": what the adviser says of the first examples; "adaptive" or "adaptive:START": it adapts"""
hints_of: Callable[[type], dict[str, Any]] = cache(get_type_hints)
"""the annotations of a class; a report asks for them hundreds of times"""


def option(default: Any, help: str, least: int | None = None, positive: bool = False) -> Any:
    """A field of `Options`, with what the command line says of it and the values that it takes."""
    return field(default=default, metadata={"help": help, "least": least, "positive": positive})


def temperature(default: Any, help: str) -> Any:
    """The option of a method that `--temperatures` sets; the words of `Heat` are values, too."""
    about = {"help": f"temperature: {help}", "least": None, "positive": True, "temperature": True}
    return field(default=default, metadata=about)


def parse_heat(text: str) -> Heat:
    """A number where it is one, else the word.

    >>> parse_heat("0.1"), parse_heat("auto")
    (0.1, 'auto')
    """
    try:
        return float(text)
    except ValueError:
        return text


def show_heat(heat: Heat) -> str:
    """A temperature in few letters."""
    return heat if isinstance(heat, str) else f"{heat:g}"


@dataclass
class Options:
    """The base of settings; values are checked against the annotations when an object is made.

    A field is an int, float, str, `Literal` of strings, a tuple of ints or strings, or one of these or None.

    Raises:
        InputError: naming the field, its value and what it takes.
    """

    def __post_init__(self) -> None:
        hints = hints_of(type(self))
        for name, declared in self.options().items():
            _check(name, getattr(self, name), hints[name], declared.metadata)

    @classmethod
    def options(cls) -> dict[str, Field[Any]]:
        """The fields that are options."""
        return {declared.name: declared for declared in fields(cls) if "help" in declared.metadata}

    @classmethod
    def add_arguments(cls, group: argparse._ArgumentGroup, known: set[str]) -> None:
        """Declare the options that are not known yet; those that are not given are left out of the namespace."""
        hints = hints_of(cls)
        for name, declared in cls.options().items():
            kind, choices, _ = _parse(hints[name])
            if name not in known and get_origin(hints[name]) is not tuple:
                default = "" if declared.default is None else f" (default {declared.default})"
                group.add_argument(
                    f"--{name.replace('_', '-')}",
                    type=parse_heat if kind is float else kind,  # a word is a temperature of some method, or refused
                    choices=choices or None,
                    help=(declared.metadata["help"] + default).replace("%", "%%"),
                )
            known.add(name)

    def as_json(self) -> dict[str, Any]:
        """The settings as JSON values."""
        values = {name: getattr(self, name) for name in self.options()}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def check_known(what: str, value: object, choices: Sequence[str]) -> None:
    """Raise an InputError unless a value is one of the choices."""
    if value not in choices:
        raise InputError(f"unknown {what} {value!r}: choose from {', '.join(choices)}")


def _parse(hint: Any) -> tuple[type, tuple[str, ...], bool]:
    """The type of a field (of its items), its choices if they are few, and whether it may be None."""
    if get_origin(hint) in (Union, UnionType):
        kinds = [kind for kind in get_args(hint) if kind is not NoneType]
        kind, choices, _ = _parse(kinds[0])
        return kind, choices, True
    if get_origin(hint) is Literal:
        return str, get_args(hint), False
    if get_origin(hint) is tuple:
        return get_args(hint)[0], (), False
    return hint, (), False


def _check(name: str, value: Any, hint: Any, limits: Any) -> None:
    kind, choices, optional = _parse(hint)
    if value is None and optional:
        return
    if choices:
        check_known(name, value, choices)
    many = get_origin(hint) is tuple
    for entry in value if many and isinstance(value, tuple) else [value]:
        if "temperature" in limits and isinstance(entry, str):
            word, colon, start = entry.partition(":")
            if entry in ("auto", "adaptive") or (word == "adaptive" and colon and _is_positive(parse_heat(start))):
                continue
            raise InputError(f"{name}={entry!r} must be a positive number, auto, adaptive or adaptive:START")
        if many != isinstance(value, tuple) or type(entry) not in ((float, int) if kind is float else (kind,)):
            wanted = f"a list of {kind.__name__}" if many else f"of type {kind.__name__}" + " or null" * optional
            raise InputError(f"{name}={value!r} must be {wanted}")
        if limits["least"] is not None and entry < limits["least"]:
            raise InputError(f"{name}={entry} must be at least {limits['least']}")
        if limits["positive"] and not _is_positive(entry):
            raise InputError(f"{name}={entry} must be a positive, finite number")


def _is_positive(value: Any) -> bool:
    return not isinstance(value, str) and 0 < value < math.inf
