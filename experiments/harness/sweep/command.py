"""Which temperature? Every method over a ladder of temperatures, beside the adviser's choice and adaptive ones.

For each task one results folder as of its own command (so that every number is that of a single run), with the table
of the methods: the temperature that is best on validation, how far the adviser's and the adaptive ones are from it on
the test examples, and which share of the ladder is as near; gradients.csv (zeros, bias, noise), temperatures.png,
learning.png. One report.html for all.

A task may have options of its own, in quotes. The values "auto" are those of each method times 10^-2 to 10^2.

examples:
  python -m experiments temperatures
  python -m experiments temperatures --task ranking --method all --values 0.1,1,10
  python -m experiments temperatures --preset full --task "shortest-path --maps 2000" ranking
  python -m experiments temperatures --resume results/temperatures/001
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from combdiff_solvers.compute.threads import available_cores
from experiments.harness.errors import InputError
from experiments.harness.experiment import run_experiment
from experiments.harness.options import parse_heat
from experiments.harness.registry import find_method, find_task, method_names
from experiments.harness.report.page import write_report
from experiments.harness.run import PRESETS, Run, preset_settings
from experiments.harness.run_folder import RESULTS, RunFolder, refuse_difference
from experiments.harness.sweep.figures import draw_learning, draw_temperatures
from experiments.harness.sweep.gradients import measure
from experiments.harness.sweep.verdict import judge, show_verdict
from experiments.harness.table import log_console

TASKS = "shortest-path", "ranking"
MULTIPLES = {"demo": 5, "full": 9}
SEEDS = {"demo": 2, "full": 5}
SOLVES = {"demo": 1024, "full": 65_536}  # noisy solves of each of 16 rows: in all 16 thousand, or a million
TASK_PRESET = {"demo": "sweep", "full": "demo"}
WORDS = {"demo": ("auto", "adaptive"), "full": ("auto", "adaptive:0.01", "adaptive", "adaptive:100")}

Parse = Callable[[Sequence[str]], dict[str, Any]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    tasks = f"in quotes with options (default {' '.join(TASKS)})"
    parser.add_argument("--task", nargs="+", dest="tasks", metavar="TASK", help=tasks)
    parser.add_argument("--method", nargs="+", metavar="METHOD", help="or all (default: the task's own)")
    parser.add_argument("--values", help="auto, or numbers with commas between (default auto)")
    parser.add_argument("--seeds", type=int, help="trainings at each temperature: splits 0 to N−1 (default 2; full: 5)")
    parser.add_argument("--preset", choices=list(MULTIPLES), help="demo (default: minutes) or full (hours)")
    parser.add_argument("--workers", type=int, help="trainings at a time (default: one for each core)")
    folder = parser.add_mutually_exclusive_group()
    folder.add_argument("--out", type=Path, help="results folder (default: a new one in results/temperatures)")
    folder.add_argument("--resume", type=Path, metavar="FOLDER", help="go on with a sweep that was broken off")


def run(given: Mapping[str, Any], parse: Parse) -> None:
    """Train, judge, measure and draw.

    Args:
        given: the options.
        parse: what makes settings of the words of a task's command line.

    Raises:
        InputError: for options that cannot be used.
    """
    console = log_console()
    words = ("tasks", "method", "values", "seeds", "preset")
    config: dict[str, Any] = {name: given[name] for name in words if given[name] is not None}
    if given["resume"] is not None:
        folder = RunFolder(given["resume"])
        saved = folder.config()
        refuse_difference(str(folder.path), saved, {**saved, **config})
        config = saved
    runs = _runs(config, parse)
    workers = available_cores() if given["workers"] is None else given["workers"]
    if workers < 1:
        raise InputError(f"workers={workers} must be at least 1")
    torch.set_num_threads(1)
    if given["resume"] is None:
        folder = _new_folder(given["out"], config)
    folders = [_folder_of(folder.path / name, one) for name, one in runs.items()]
    for one, place in zip(runs.values(), folders, strict=True):
        run_experiment(one, place, console, workers)
        show_verdict(console, one, place, judge(one, place))
    for one, place in zip(runs.values(), folders, strict=True):
        gradients = measure(one, place, SOLVES[config.get("preset", "demo")])
        for name in (*draw_temperatures(one, place, gradients), *draw_learning(one, place)):
            console.print(str(place.path / name), soft_wrap=True, highlight=False)
    write_report([place.path for place in folders], folder.path / "report.html")
    console.print(str(folder.path / "report.html"), soft_wrap=True, highlight=False)


def _new_folder(out: Path | None, config: Mapping[str, Any]) -> RunFolder:
    if out is None:
        return RunFolder.create_numbered(RESULTS / "temperatures", config)
    return RunFolder.create(out, config)


def _folder_of(path: Path, run: Run) -> RunFolder:
    """The folder of one task; the one that is there where the sweep goes on."""
    config = {"task": run.task_name, **run.as_json()}
    if not path.exists():
        return RunFolder.create(path, config)
    refuse_difference(str(path), RunFolder(path).config(), config)
    return RunFolder(path)


def _runs(config: Mapping[str, Any], parse: Parse) -> dict[str, Run]:
    """A run for each task, by the name of its folder."""
    preset = config.get("preset", PRESETS[0])
    seeds = config.get("seeds", SEEDS[preset])
    if seeds < 1:
        raise InputError(f"seeds={seeds} must be at least 1")
    runs: dict[str, Run] = {}
    for line in config.get("tasks", TASKS):
        given = parse(shlex.split(line))
        name = given.pop("task")
        given = {"splits": list(range(seeds)), **_heats(config.get("values", "auto"), preset), **given}
        for unwanted in ("out", "resume", "workers", "threads"):
            if given.pop(unwanted, None) is not None:
                raise InputError(f"task {line!r}: --{unwanted} is an option of the whole sweep")
        own = given.pop("preset", TASK_PRESET[preset])
        given.setdefault("methods", _methods(config.get("method"), name, preset_settings(name, own, given)))
        folder, number = name.rpartition(":")[2], 1
        while folder in runs:
            number += 1
            folder = f"{name.rpartition(':')[2]}-{number}"
        runs[folder] = Run(name, {**preset_settings(name, own, given), **given})
    return runs


def _heats(values: str, preset: str) -> dict[str, Any]:
    """The settings of the ladder."""
    if values == "auto":
        count = MULTIPLES[preset]
        ladder = [float(f"{10 ** (4 * step / (count - 1) - 2):.3g}") for step in range(count)]
        return {"temperatures": [*ladder, *WORDS[preset]], "scaled_by": "own"}
    found = [parse_heat(word) for word in values.split(",")]
    if not all(isinstance(heat, float) for heat in found):
        raise InputError(f"values={values!r} must be auto, or numbers with commas between")
    return {"temperatures": [*found, "auto"]}


def _methods(names: Sequence[str] | None, task: str, settings: Mapping[str, Any]) -> list[str]:
    """Those that were given, or the task's, as far as they have a temperature."""
    found = method_names() if names == ["all"] else names or settings.get("methods", find_task(task).methods)
    kept = [name for name in found if find_method(name).temperature_option()]
    if names and names != ["all"] and len(kept) < len(names):
        without = next(name for name in names if name not in kept)
        raise InputError(f"method {without!r} has no temperature")
    return kept
