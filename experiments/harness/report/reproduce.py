"""The command that gives a configuration: only what differs from the preset."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, get_origin

from experiments.harness.errors import InputError
from experiments.harness.options import Heat, Options, hints_of
from experiments.harness.registry import find_method, find_task
from experiments.harness.run import PRESETS, Run, Settings, preset_settings

FLAGS = {"methods": "--method", "solvers": "--solver", "temperatures": "--temperature"}
"""options that take several values"""


def training_settings(
    config: Mapping[str, Any], method: str, solver: str, temperature: Heat | None, splits: Sequence[int]
) -> dict[str, Any]:
    """The settings of a run that trains one method of another run, at one temperature, on some splits."""
    settings = {key: value for key, value in config.items() if key.rpartition(".")[0] in ("", method)}
    for name in ("task", "solvers", "temperatures", "scaled_by", "tune_splits"):
        settings.pop(name, None)
    settings |= {"methods": [method], "splits": list(splits)}
    if solver:
        settings["solvers"] = [solver]
    if temperature is not None:
        settings[f"{method}.{find_method(method).temperature_option()}"] = temperature
    return settings


def commands(task: str, settings: Mapping[str, Any]) -> list[str]:
    """The command line that makes these settings; several where the splits are not 0 to N−1, or one.

    Raises:
        InputError: where a setting is not known, or no command line makes them.
    """
    splits = list(settings.get("splits", [0]))
    if len(splits) > 1 and splits != list(range(len(splits))):
        return [line for split in splits for line in commands(task, {**settings, "splits": [split]})]
    wanted = Run(task, settings).as_json()
    lines, unset = [], list[str]()
    for preset in PRESETS:
        given = _all_options(task, wanted)
        unset = _differing(task, preset, given, wanted)
        if not unset:
            lines.append(
                [*([] if preset == PRESETS[0] else ["--preset", preset]), *_words(task, preset, given, wanted)]
            )
    if not lines:
        raise InputError(f"no command line sets {', '.join(f'{key} to {wanted.get(key)!r}' for key in unset)}")
    return [shlex.join(["python", "-m", "experiments", task, *min(lines, key=len)])]


def _all_options(task: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that the command line can say: one value for all methods that have the option, and not none."""
    values: dict[str, list[Any]] = {}
    for key, value in wanted.items():
        values.setdefault(key.rpartition(".")[2], []).append(value)
    unsaid = _lists(task, wanted["methods"]) - {*FLAGS, "splits"}
    return {
        name: own[0]
        for name, own in values.items()
        if own[0] not in (None, []) and all(value == own[0] for value in own) and name not in unsaid
    }


def _differing(task: str, preset: str, options: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """The settings that a command makes otherwise; all, where it is refused."""
    try:
        made = Run(task, {**preset_settings(task, preset, options), **options}).as_json()
    except InputError:
        return list(wanted)
    return [key for key in {**wanted, **made} if made.get(key) != wanted.get(key)]


def _words(task: str, preset: str, given: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """The options that are needed beside a preset."""
    differing = {key.rpartition(".")[2] for key in _differing(task, preset, {"methods": given["methods"]}, wanted)}
    some = {name: value for name, value in given.items() if name in {"methods", *differing}}
    if not _differing(task, preset, some, wanted):
        given = some  # mostly; the loop alone is enough, but slow
    for name in list(given):
        less = {other: value for other, value in given.items() if other != name}
        given = given if _differing(task, preset, less, wanted) else less
    words: list[str] = []
    for name, value in given.items():
        if name == "splits":
            words += ["--splits", str(len(value))] if value == list(range(len(value))) else ["--split", str(value[0])]
        elif name in FLAGS:
            words += [FLAGS[name], *map(str, value)]
        else:
            flag, text = f"--{name.replace('_', '-')}", str(value)
            words += [f"{flag}={text}"] if text.startswith("-") else [flag, text]
    return words


def _lists(task: str, methods: Sequence[str]) -> set[str]:
    """The options that take several values; the command line has them only in `FLAGS`."""
    kinds: list[type[Options]] = [Settings, find_task(task), *map(find_method, methods)]
    hints = [(name, hints_of(kind)[name]) for kind in kinds for name in kind.options()]
    return {name for name, hint in hints if get_origin(hint) is tuple}
