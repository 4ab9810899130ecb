"""One results folder a run: its configuration, metrics and checkpoints, safe against being killed at any time."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from experiments.harness.errors import InputError

RESULTS = Path("results")
UNREADABLE = RuntimeError, pickle.PickleError, EOFError, LookupError, TypeError, ValueError, AttributeError, OSError
"""what torch raises for a file that holds something else"""


@dataclass(frozen=True)
class RunFolder:
    """A folder with `config.json`, `metrics.csv` and `checkpoints/*.pt`.

    Laws: a file is either the old or the new one, never half of one; one run has a folder, however many begin at once;
    a checkpoint is only given to a run of the configuration that wrote it.
    """

    path: Path

    @classmethod
    def create(cls, path: Path, config: Mapping[str, Any]) -> RunFolder:
        """Begin a run in a new or empty folder.

        Raises:
            InputError: when the folder holds a run already, or cannot be written.
        """
        folder = cls(path)
        with _writing(path):
            try:
                (path / "checkpoints").mkdir(parents=True)  # one of several runs succeeds
            except FileExistsError as error:
                raise InputError(
                    f"{path} holds a run already: go on with it by --resume {path}, or choose another --out"
                ) from error
        folder.write_json("config.json", config)
        return folder

    @classmethod
    def create_numbered(cls, parent: Path, config: Mapping[str, Any]) -> RunFolder:
        """Begin a run in the first of parent/001, parent/002, ... that does not exist.

        Raises:
            InputError: when it cannot be written.
        """
        numbers = itertools.count(1)
        while True:
            path = parent / f"{next(numbers):03d}"
            with _writing(path), suppress(FileExistsError):
                path.mkdir(parents=True)
                return cls.create(path, config)

    def discard(self) -> None:
        """Remove the files of a run that was refused before it had trained anything; others stay."""
        checkpoints = self.path / "checkpoints"
        if not any(checkpoints.iterdir()):
            for name in ("config.json", "metrics.csv"):
                (self.path / name).unlink(missing_ok=True)
            checkpoints.rmdir()
            if not any(self.path.iterdir()):
                self.path.rmdir()

    def config(self) -> dict[str, Any]:
        """The configuration the run was begun with.

        Raises:
            InputError: when there is none, or it is damaged.
        """
        file = self.path / "config.json"
        if not file.exists():
            raise InputError(f"{self.path} is no results folder: it has no config.json")
        try:
            config = json.loads(file.read_text(encoding="utf-8"))
        except (ValueError, RecursionError, OSError) as error:
            raise InputError(f"{file} is damaged: {error}") from error
        if not isinstance(config, dict):
            raise InputError(f"{file} is damaged: it holds a {type(config).__name__}, but an object is expected")
        return config

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file atomically."""
        self.write_text(name, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")

    def write_csv(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write a CSV file atomically; its columns are all the keys of the rows."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        self.write_text(name, text.getvalue())

    def write_text(self, name: str, text: str) -> None:
        """Write a text file atomically."""
        self._replace(name, lambda file: file.write_text(text, encoding="utf-8"))

    def rows_of_study(self, name: str, config: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The rows of a table that a study goes on with (as text, as they were written); none where it begins.

        Raises:
            InputError: when a study of another configuration has written the folder (the first field that differs is
                named).
        """
        if (self.path / "config.json").exists():
            refuse_difference(str(self.path), self.config(), config)
        self.write_json("config.json", dict(config))
        if not (self.path / name).exists():
            return []
        with (self.path / name).open(encoding="utf-8", newline="") as stream:
            return [dict(row) for row in csv.DictReader(stream)]

    def checkpoint(self, name: str) -> Path:
        """Where the checkpoint of that name is."""
        return self.path / "checkpoints" / f"{name}.pt"

    def save_checkpoint(self, name: str, config: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Write `checkpoints/name.pt` atomically."""
        content = {"config": dict(config), "state": dict(state)}
        self._replace(f"checkpoints/{name}.pt", lambda file: torch.save(content, file))

    def load_checkpoint(self, name: str, config: Mapping[str, Any]) -> dict[str, Any] | None:
        """The state that was saved last, or None.

        Raises:
            InputError: when the file is damaged, or was written by a run of another configuration (the first field
                that differs is named).
        """
        file = self.checkpoint(name)
        if not file.exists():
            return None
        with reading_checkpoint(file):
            content = torch.load(file, weights_only=True)
            saved, state = dict(content["config"]), dict(content["state"])
        refuse_difference(str(file), saved, config)
        return state

    def _replace(self, name: str, write: Callable[[Path], object]) -> None:
        """Write beside the file, then put it in its place in one step."""
        file = self.path / name
        half = file.with_name(file.name + ".half")
        with _writing(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            write(half)
            os.replace(half, file)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Name the path that cannot be written."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from error


@contextmanager
def reading_checkpoint(file: Path) -> Iterator[None]:
    """Name the checkpoint whose content is not what was saved there."""
    try:
        yield
    except InputError:
        raise
    except UNREADABLE as error:
        raise InputError(
            f"{file} is not a checkpoint that can be read ({type(error).__name__}: {error}): delete it to train anew"
        ) from error


def refuse_difference(source: str, saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise unless two configurations agree.

    Raises:
        InputError: naming the first field that differs, and both values.

    >>> refuse_difference("a.pt", {"sigma": 0.3}, {"sigma": 0.5})
    Traceback (most recent call last):
    experiments.harness.errors.InputError: a.pt belongs to another configuration: sigma is 0.3 there and 0.5 here
    """
    for field in [*wanted, *saved]:
        there, here = saved.get(field, "missing"), wanted.get(field, "missing")
        if there != here:
            raise InputError(f"{source} belongs to another configuration: {field} is {there!r} there and {here!r} here")
