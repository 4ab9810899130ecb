"""One results folder a run: its configuration, metrics and checkpoints, safe against being killed at any time."""

from __future__ import annotations

import csv
import io
import json
import os
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from experiments.errors import InputError


class RunFolder:
    """A folder with `config.json`, `metrics.csv` and `checkpoints/*.pt`.

    Laws: a file is either the old or the new one, never half of one, except that `metrics.csv` may end in half a line,
    which is left out when it is read; a checkpoint is only given to a run of the configuration that wrote it.

    Args:
        path: the folder; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path, config: Mapping[str, Any]) -> RunFolder:
        """Begin a run in a new or empty folder.

        Raises:
            InputError: when the folder holds a run already.
        """
        folder = cls(path)
        if (path / "config.json").exists():
            raise InputError(f"{path} holds a run already: go on with it by --resume {path}, or choose another --out")
        (path / "checkpoints").mkdir(parents=True, exist_ok=True)
        folder.write_json("config.json", config)
        return folder

    @classmethod
    def next_free(cls, parent: Path) -> Path:
        """The first of parent/001, parent/002, ... that does not exist."""
        number = 1
        while (parent / f"{number:03d}").exists():
            number += 1
        return parent / f"{number:03d}"

    def config(self) -> dict[str, Any]:
        """The configuration the run was begun with.

        Raises:
            InputError: when there is none, or it is damaged.
        """
        file = self.path / "config.json"
        if not file.exists():
            raise InputError(f"{self.path} is no results folder: it has no config.json")
        try:
            config: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise InputError(f"{file} is damaged: {error}") from error
        return config

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file atomically."""
        self.write_text(name, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Write a text file atomically."""
        self._replace(name, lambda file: file.write_text(text, encoding="utf-8"))

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a line to `metrics.csv`, after a header if it is the first."""
        file = self.path / "metrics.csv"
        new = not file.exists()
        with file.open("a", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, row.keys(), lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerow(row)

    def rows(self) -> list[dict[str, str]]:
        """The lines of `metrics.csv`; a last line that was cut off is left out."""
        file = self.path / "metrics.csv"
        if not file.exists():
            return []
        text = file.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        return list(csv.DictReader(whole.splitlines()))

    def keep_rows(self, keep: Callable[[Mapping[str, str]], bool]) -> None:
        """Drop the lines of `metrics.csv` that a resumed run will write again."""
        rows = self.rows()
        if not rows:
            (self.path / "metrics.csv").unlink(missing_ok=True)
        else:
            text = io.StringIO()
            writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
            writer.writeheader()
            writer.writerows(filter(keep, rows))
            self.write_text("metrics.csv", text.getvalue())

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
        file = self.path / "checkpoints" / f"{name}.pt"
        if not file.exists():
            return None
        try:
            content = torch.load(file, weights_only=True)
            saved, state = content["config"], content["state"]
        except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError, OSError) as error:
            raise InputError(f"{file} is not a checkpoint that can be read: {error}") from error
        refuse_difference(str(file), saved, config)
        loaded: dict[str, Any] = state
        return loaded

    def _replace(self, name: str, write: Callable[[Path], object]) -> None:
        """Write beside the file, then put it in its place in one step."""
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        half = file.with_name(file.name + ".half")
        write(half)
        os.replace(half, file)


def refuse_difference(source: str, saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise unless two configurations agree.

    Raises:
        InputError: naming the first field that differs, and both values.

    >>> refuse_difference("a.pt", {"sigma": 0.3}, {"sigma": 0.5})
    Traceback (most recent call last):
    experiments.errors.InputError: a.pt belongs to another configuration: sigma is 0.3 there and 0.5 here
    """
    for field in [*wanted, *saved]:
        there, here = saved.get(field, "missing"), wanted.get(field, "missing")
        if there != here:
            raise InputError(f"{source} belongs to another configuration: {field} is {there!r} there and {here!r} here")
