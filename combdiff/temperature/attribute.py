"""The temperature as an attribute of a layer."""

from __future__ import annotations

from typing import Any

from combdiff.temperature.auto import Auto
from combdiff.temperature.schedule import Schedule, positive


class Temperature:
    """A layer's temperature attribute: refuses what is neither a positive number nor a schedule; "auto" is an `Auto`.

    `temperature = sigma` in the body of a class gives it the name that all methods share, beside its own.
    """

    _name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = self._name or name

    def __set__(self, layer: object, value: float | str | Schedule) -> None:
        if isinstance(value, str) and value == "auto":
            value = Auto()
        layer.__dict__[self._name] = value if isinstance(value, Schedule) else positive(self._name, value)  # type: ignore[arg-type]

    def __get__(self, layer: object | None, owner: type) -> Any:
        return self if layer is None else layer.__dict__[self._name]
