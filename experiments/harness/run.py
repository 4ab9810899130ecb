"""What a run is told: a task, methods, solvers, splits and training, kept in `config.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from experiments.harness.errors import InputError
from experiments.harness.method import Method
from experiments.harness.options import SEEDS, Heat, Options, check_known, option, show_heat, temperature
from experiments.harness.registry import find_method, find_task
from experiments.harness.task import DataSet, Task

PRESETS = "demo", "full", "sweep"
"""the first one is the default; a sweep trains often, and little"""


@dataclass
class Settings(Options):
    """The settings of every run; the same settings give the same numbers."""

    methods: tuple[str, ...] = option((), "what is trained, in this order")
    solvers: tuple[str, ...] = option((), "by which back ends")
    splits: tuple[int, ...] = option((0,), "seeds of the data")
    seed: int = option(0, "of network and training")
    epochs: int = option(5, "passes over the training examples", least=1)
    batch: int = option(8, "examples a step", least=1)
    learning_rate: float = option(5e-3, "the rate, or the peak of the one-cycle schedule", positive=True)
    schedule: Literal["one-cycle", "constant"] = option("one-cycle", "of the learning rate")
    weight_decay: float = option(1e-4, "of AdamW")
    device: str = option("cpu", "of the network and the batches: cpu, cuda, cuda:1, ...; solvers work on the CPU")
    temperatures: tuple[float, ...] = temperature((), "of each method that has one")
    scaled_by: Literal["one", "own"] = option("one", "temperatures are multiples of each method's own")
    tune_splits: int | None = option(None, "splits that choose the temperature, for all (default: all splits)", least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.solvers and self.splits):
            raise InputError("a run needs at least one solver and one split")
        for name, seed in [("seed", self.seed), *(("split", split) for split in self.splits)]:
            if not 0 <= seed < SEEDS:
                raise InputError(f"{name}={seed} must be a whole number from 0 to {SEEDS - 1}")
        try:
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError) as error:  # the latter where torch is built without CUDA
            raise InputError(f"device={self.device!r} cannot be used: {str(error).splitlines()[0]}") from None


Variant = tuple[str, str]
"""a method and what solves for it, as in `Job`"""


@dataclass(frozen=True)
class Job:
    """One training of a run.

    `solver` is empty where the method does not solve, and `temperature` None where the method has its own.
    """

    split: int
    method: str
    solver: str
    temperature: Heat | None = None

    def _words(self) -> list[str]:
        heat = [] if self.temperature is None else [show_heat(self.temperature)]
        return [self.method, *([self.solver] if self.solver else []), *heat]

    def title(self) -> str:
        """What the training is called on the terminal."""
        return " · ".join([f"split {self.split}", *self._words()])

    def checkpoint(self) -> str:
        """The name of its checkpoint."""
        return "-".join([f"split{self.split}", *self._words()]).replace(":", "-")

    def columns(self) -> dict[str, Any]:
        """What tells its rows from others in tables."""
        return {**vars(self), "solver": self.solver or None}


class Run:
    """A task with its options, the methods with theirs, and the settings of the training.

    Args:
        task_name: of the task.
        config: any of the options of `Settings` and of the task by their names, and those of a method by
            `method.option` (for all methods that have it: by `option` alone).

    Raises:
        InputError: for a name that does not exist, or a value that makes no sense.
    """

    def __init__(self, task_name: str, config: Mapping[str, Any]) -> None:
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()}
        kind = find_task(task_name)
        for name, default in (("methods", kind.methods), ("solvers", kind.backends[:1]), ("temperatures", ())):
            values[name] = tuple(dict.fromkeys(values.get(name, default)))
        kinds = {name: find_method(name) for name in values["methods"]}
        self.task_name = task_name
        used: set[str] = set()

        def make(options: type[Options], prefix: str = "") -> Any:
            given = {}
            for name in options.options():
                for key in (name, f"{prefix}.{name}"):
                    if key in values:
                        given[name] = values[key]
                        used.add(key)
            return options(**given)

        self.settings: Settings = make(Settings)
        self.task: Task[Any] = make(kind)
        self.methods: dict[str, Method] = {name: make(method, name) for name, method in kinds.items()}
        for solver in self.settings.solvers:
            check_known("solver", solver, kind.backends)
        unused = [key for key in values if key not in used]
        if unused:
            raise InputError(f"unknown setting {unused[0]!r}: {', '.join(self.as_json())} are those of this run")
        if self.settings.temperatures and not any(method.temperature_option() for method in kinds.values()):
            raise InputError(f"temperatures={self.settings.temperatures}: none of {', '.join(kinds)} has a temperature")
        self._loaded: tuple[int, DataSet[Any]] | None = None

    def as_json(self) -> dict[str, Any]:
        """The settings as JSON values."""
        flat = {**self.settings.as_json(), **self.task.as_json()}
        for name, method in self.methods.items():
            flat |= {f"{name}.{key}": value for key, value in method.as_json().items()}
        return flat

    def changed(self, settings: Mapping[str, Any]) -> Run:
        """This run with some settings changed; an option of several methods changes for all."""
        kept = {key: value for key, value in self.as_json().items() if key.rpartition(".")[2] not in settings}
        return Run(self.task_name, {**kept, **settings})

    def load(self, split: int) -> DataSet[Any]:
        """The examples of a split; those that were loaded last are kept."""
        if self._loaded is None or self._loaded[0] != split:
            self._loaded = split, self.task.load(split)
        return self._loaded[1]

    def jobs(self, split: int, chosen: Mapping[Variant, Heat | None] | None = None) -> list[Job]:
        """The trainings on one split that its data allow, at all temperatures, or at those that were chosen."""
        train, solvers = self.load(split).train, self.settings.solvers
        default = solvers == self.task.backends[:1]
        return [
            Job(split, name, own, heat)
            for name, method in self.methods.items()
            if not train.lacks(method.needs)
            for own in ([""] if default or not method.uses_solver else solvers)
            for heat in (self._temperatures(method) if chosen is None else [chosen[name, own]])
        ]

    def _temperatures(self, method: Method) -> Sequence[Heat | None]:
        name, heats = method.temperature_option(), self.settings.temperatures
        if name is None or not heats:
            return [None]
        own = getattr(method, name) if self.settings.scaled_by == "own" else 1.0
        return [multiple(heat, own) for heat in heats]


def multiple(heat: Heat, own: float) -> Heat:
    """A temperature in units of another one.

    >>> multiple(0.1, 20.0), multiple("adaptive:0.1", 20.0), multiple("auto", 20.0)
    (2.0, 'adaptive:2', 'auto')
    """
    if not isinstance(heat, str):
        return float(f"{own * heat:.6g}")
    word, colon, start = heat.partition(":")
    return f"{word}:{own * float(start):g}" if colon else word


def preset_settings(task: str, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a preset: those of methods that are not trained, and of options that are given, are left out."""
    kind = find_task(task)
    settings = kind.preset(name, given)
    methods = {"", *given.get("methods", settings.get("methods", kind.methods))}
    parts = {key: key.rpartition(".") for key in settings}
    return {key: settings[key] for key, (method, _, own) in parts.items() if method in methods and own not in given}
