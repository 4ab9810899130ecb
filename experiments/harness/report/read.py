"""Reading run folders: what a run recorded, and what of it is missing."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.harness.errors import InputError
from experiments.harness.registry import find_task
from experiments.harness.run import Settings
from experiments.harness.run_folder import RunFolder
from experiments.harness.table import Row
from experiments.harness.task import Task


@dataclass(frozen=True)
class RunRecord:
    """What a run folder holds.

    Attributes:
        path: the folder.
        config: of the run; empty where `config.json` is damaged.
        task: made of the configuration; None where that fails.
        epochs: the rows of `metrics.csv`.
        scores: the test scores of all trainings and baselines, a row for each split.
        pictures: the names of the PNG files.
        missing: what is damaged, or not there yet, in words.
    """

    path: Path
    config: Mapping[str, Any] = field(default_factory=dict)
    task: Task[Any] | None = None
    epochs: Sequence[Row] = ()
    scores: Sequence[Row] = ()
    pictures: Sequence[str] = ()
    missing: Sequence[str] = ()

    def title(self) -> str:
        """What the task says of itself, or its name."""
        try:
            return "" if self.task is None else self.task.describe()
        except Exception:  # the data may not be there, and a task of the user's may raise anything
            return str(self.config["task"])


def find_runs(folders: Sequence[Path]) -> list[Path]:
    """The run folders among some folders; one that is none stands for all runs inside it.

    Raises:
        InputError: naming the folder that neither is a run nor holds one.
    """
    found: dict[Path, None] = {}
    for folder in folders:
        inside = (
            [folder] if (folder / "config.json").exists() else sorted(f.parent for f in folder.rglob("config.json"))
        )
        runs = [path for path in inside if _names_a_task(path)]
        if not runs:
            what = (
                "its config.json names no task" if inside == [folder] else "no folder in it has the config.json of one"
            )
            raise InputError(
                f"{folder} is no run of an experiment: {what if folder.is_dir() else 'there is no folder'}"
            )
        found |= dict.fromkeys(runs)
    return list(found)


def _names_a_task(path: Path) -> bool:
    """False for the folders of studies, which have settings of their own; a damaged run is one."""
    try:
        return isinstance(RunFolder(path).config().get("task"), str)
    except InputError:
        return True


def read_run(path: Path) -> RunRecord:
    """Read a run folder, whatever state it is in."""
    missing: list[str] = []
    config = _attempt(lambda: _config(path), {}, missing)
    task = _attempt(lambda: _task(config), None, missing) if config else None
    epochs = _attempt(lambda: _rows_of_csv(path / "metrics.csv"), [], missing)
    every = _attempt(lambda: _rows_of_csv(path / "temperatures.csv"), [], missing) if config.get("temperatures") else []
    table = _attempt(lambda: _rows_of_json(path / "summary.json"), [], missing)
    scores = {(row["split"], row["method"], row["solver"], row.get("temperature")): row for row in [*every, *table]}
    if not table:
        missing += _progress(config, epochs)
    pictures = sorted(file.name for file in path.glob("*.png"))
    return RunRecord(path, config, task, epochs, list(scores.values()), pictures, missing)


def _attempt(read: Callable[[], Any], otherwise: Any, missing: list[str]) -> Any:
    try:
        return read()
    except InputError as error:
        missing.append(str(error))
        return otherwise


def _config(path: Path) -> dict[str, Any]:
    """The configuration, with the settings that all runs have."""
    config = RunFolder(path).config()
    if not isinstance(config.get("task"), str):
        raise InputError("config.json names no task")
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in config.items()}
    try:
        settings = Settings(**{name: values[name] for name in Settings.options() if name in values})
    except InputError as error:
        raise InputError(f"config.json is damaged: {error}") from error
    return {**config, **settings.as_json()}


def _task(config: Mapping[str, Any]) -> Task[Any]:
    """The task alone: the scores are shown, too, where a method is not there any more."""
    try:
        kind = find_task(config["task"])
        names = [name for name in kind.options() if name in config]
        return kind(**{name: tuple(v) if isinstance(v := config[name], list) else v for name in names})
    except Exception as error:  # a module of the user's may raise anything
        raise InputError(f"the task {config['task']} cannot be made, so its scores have no names: {error}") from error


def _rows_of_csv(file: Path) -> list[Row]:
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            return [_row(row) for row in csv.DictReader(stream, strict=True)]
    except FileNotFoundError as error:
        raise InputError(f"{file.name} is missing") from error
    except (OSError, ValueError, LookupError, TypeError, OverflowError, csv.Error) as error:
        raise InputError(f"{file.name} is damaged: {error}") from error


def _rows_of_json(file: Path) -> list[Row]:
    try:
        rows = [_row(row) for row in json.loads(file.read_text(encoding="utf-8")) if row["split"] != "mean"]
    except FileNotFoundError as error:
        raise InputError(f"{file.name} is missing: the run has not ended") from error
    except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(f"{file.name} is damaged: {error}") from error
    if not rows:
        raise InputError(f"{file.name} is empty")
    return rows


def _row(row: Mapping[str, Any]) -> Row:
    """One row with numbers as numbers; what is not there, or NaN, is None.

    >>> _row({"split": "0", "method": "a", "solver": "", "temperature": "0.1", "loss": "nan"})
    {'split': 0, 'method': 'a', 'solver': '', 'temperature': 0.1, 'loss': None}
    """
    values: Row = {"split": int(row["split"]), "method": str(row["method"]), "solver": row.get("solver") or ""}
    for key, value in row.items():
        if key not in values:
            number = math.nan if value in (None, "") else float(value)
            values[key] = number if math.isfinite(number) else None
    return values


def _progress(config: Mapping[str, Any], epochs: Sequence[Row]) -> list[str]:
    """How far the trainings of a run are that has not ended."""
    if not (config and epochs):
        return []
    wanted, last = config["epochs"], dict[tuple[Any, ...], float]()
    for row in epochs:
        key = row["split"], row["method"], row["solver"], row.get("temperature")
        last[key] = max(last.get(key, 0), row.get("epoch") or 0)
    ended = sum(epoch >= wanted for epoch in last.values())
    words = [f"{ended} of {len(last)} trainings that were begun have all {wanted} epochs"]
    for what, names, at in (("method", config["methods"], 1), ("split", config["splits"], 0)):
        never = [str(name) for name in names if name not in {key[at] for key in last}]
        words += [f"no training yet of {what} {', '.join(never)}"] if never else []
    return words
