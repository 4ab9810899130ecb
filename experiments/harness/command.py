"""The command line: `python -m experiments TASK [options]`, and the commands beside the tasks."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from combdiff_solvers.compute.threads import available_cores
from experiments.harness.errors import InputError
from experiments.harness.experiment import run_experiment
from experiments.harness.options import parse_heat
from experiments.harness.registry import find_method, find_task, method_names, task_names
from experiments.harness.report import command as report_command
from experiments.harness.run import PRESETS, Run, Settings, preset_settings
from experiments.harness.run_folder import RESULTS, RunFolder, refuse_difference
from experiments.harness.sweep import command as sweep_command
from experiments.harness.table import log_console

COMMANDS = {"report": report_command, "temperatures": sweep_command}
"""what stands beside the tasks: modules with `add_arguments` and `run`"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one experiment or command; return the exit status (0 fine, 2 bad input, 130 interrupted)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        given = parse(words)
        name = given.pop("task")
        if name in COMMANDS:
            COMMANDS[name].run(given, parse)
        else:
            _run(name, given)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def parse(words: Sequence[str]) -> dict[str, Any]:
    """The options that were given, with the task (or command); splits and methods by their names."""
    given = vars(_parser(words).parse_args(words))
    if "all" in given.get("methods", ()):
        given["methods"] = list(method_names())
    if isinstance(given.get("splits"), int):
        given["splits"] = list(range(given["splits"]))
    return given


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m experiments", description="Train solver layers end to end.")
    tasks = parser.add_subparsers(dest="task", required=True, metavar="TASK")
    for name in [*task_names(), *(word for word in words[:1] if ":" in word)]:
        kind = find_task(name)
        about = (sys.modules[kind.__module__].__doc__ or "").strip()
        _add_arguments(
            tasks.add_parser(
                name,
                usage=f"{parser.prog} {name} [options]",
                help=(about.splitlines() or [""])[0],
                description=about,
                formatter_class=argparse.RawDescriptionHelpFormatter,
                argument_default=argparse.SUPPRESS,
            ),
            name,
            words,
        )
    for name, command in COMMANDS.items():
        about = command.__doc__ or ""
        kind_of_help = argparse.RawDescriptionHelpFormatter
        command.add_arguments(
            tasks.add_parser(name, help=about.splitlines()[0], description=about, formatter_class=kind_of_help)
        )
    return parser


def _add_arguments(parser: argparse.ArgumentParser, task: str, words: Sequence[str]) -> None:
    kind, known = find_task(task), set[str]()
    data = parser.add_argument_group("data")
    kind.add_arguments(data, known)
    which = data.add_mutually_exclusive_group()
    which.add_argument("--splits", type=int, metavar="N", help="run the splits 0 to N−1, and their mean")
    which.add_argument("--split", type=int, nargs=1, dest="splits", metavar="K", help="run split K only (default 0)")

    method = parser.add_argument_group("method")
    names = ", ".join(method_names())
    choice = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for group in (method, choice):
        group.add_argument(
            "--method",
            nargs="+",
            dest="methods",
            metavar="METHOD",
            help=f"{names}, all, or package.module:Class (default {' '.join(kind.methods)})",
        )
    about = "train nothing: the rows of the table that need no training"
    method.add_argument("--floor", action="store_const", const=[], dest="methods", help=about)
    chosen = [name for name in choice.parse_known_args(words)[0].methods or () if ":" in name]
    for name in [*method_names(), *chosen]:
        find_method(name).add_arguments(method, known)
    default = f"what solves in training (default {kind.backends[0]})"
    method.add_argument("--solver", nargs="+", dest="solvers", choices=kind.backends, help=default)

    about = "train each method at each of these; the table has those that are best on the validation examples"
    method.add_argument("--temperatures", type=parse_heat, nargs="+", dest="temperatures", metavar="T", help=about)

    train = parser.add_argument_group("training")
    train.add_argument("--preset", choices=PRESETS, help="demo (default: minutes) or full")
    Settings.add_arguments(train, known)
    train.add_argument("--workers", type=int, help="trainings at a time, a process each (default: one for each core)")
    train.add_argument("--threads", type=int, help="of each network (default 1: two are slower for its small tensors)")

    folder = parser.add_argument_group("results").add_mutually_exclusive_group()
    folder.add_argument("--out", type=Path, help=f"results folder (default: a new one in {RESULTS / task})")
    folder.add_argument("--resume", type=Path, metavar="FOLDER", help="go on with a run that was broken off")


def configure(task: str, settings: Mapping[str, Any], preset: str | None = None) -> Run:
    """The run of some settings; the others are those of the preset."""
    return Run(task, {**preset_settings(task, preset or PRESETS[0], settings), **settings})


def _run(task: str, given: dict[str, Any]) -> None:
    """Run the experiment with the options that were given.

    Raises:
        InputError: for options or files that cannot be used.
        KeyboardInterrupt: after saying how to go on.
    """
    console = log_console()
    resume, out, preset = (given.pop(name, None) for name in ("resume", "out", "preset"))
    cores = available_cores()
    threads = given.pop("threads", 1)
    if not 1 <= threads <= cores:
        raise InputError(f"threads={threads} must be from 1 to {cores}, one for each core of this machine")
    workers = given.pop("workers", cores // threads)
    if workers < 1:
        raise InputError(f"workers={workers} must be at least 1")
    torch.set_num_threads(threads)
    if resume is None:
        run = configure(task, given, preset)
        config = {"task": task, **run.as_json()}
        folder = RunFolder.create_numbered(RESULTS / task, config) if out is None else RunFolder.create(out, config)
    else:
        folder = RunFolder(resume)
        saved = folder.config()
        refuse_difference(str(resume), saved, {**saved, "task": task})
        run = Run(task, {name: value for name, value in saved.items() if name != "task"})
        if preset is not None:
            given = {**preset_settings(task, preset, given), **given}
        refuse_difference(str(resume), run.as_json(), run.changed(given).as_json())
    try:
        run_experiment(run, folder, console, workers)
    except KeyboardInterrupt:
        hint = f"interrupted; go on with: python -m experiments {task} --resume {folder.path}"
        console.print(hint, soft_wrap=True, highlight=False)
        raise
    except InputError:
        if resume is None:
            folder.discard()
        raise
