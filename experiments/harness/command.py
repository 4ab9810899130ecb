"""The command line: `python -m experiments TASK [options]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from combdiff_solvers.compute.threads import available_cores
from experiments.harness.errors import InputError
from experiments.harness.experiment import run_experiment
from experiments.harness.registry import find_method, find_task, method_names, task_names
from experiments.harness.run import Run, Settings
from experiments.harness.run_folder import RunFolder, refuse_difference

RESULTS = Path("results")
LOG_WIDTH = 120
"""columns of the output where it does not go to a terminal"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one experiment; return the exit status (0 fine, 2 bad input, 130 interrupted)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        given = vars(_parser(words).parse_args(words))
        _run(given.pop("task"), given)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def log_console() -> Console:
    """The terminal, or what stands in for it, with lines of `LOG_WIDTH` columns."""
    console = Console()
    return console if console.is_terminal else Console(width=LOG_WIDTH)


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
    chosen = [name for name in choice.parse_known_args(words)[0].methods or () if ":" in name]
    for name in [*method_names(), *chosen]:
        find_method(name).add_arguments(method, known)
    default = f"what solves in training (default {kind.backends[0]})"
    method.add_argument("--solver", nargs="+", dest="solvers", choices=kind.backends, help=default)

    about = "train each method at each of these; the table has those that are best on the validation examples"
    method.add_argument("--temperatures", type=float, nargs="+", dest="temperatures", metavar="T", help=about)

    train = parser.add_argument_group("training")
    train.add_argument("--preset", choices=("demo", "full"), help="demo (default: minutes) or full")
    Settings.add_arguments(train, known)
    train.add_argument("--workers", type=int, help="trainings at a time, a process each (default: one for each core)")
    train.add_argument("--threads", type=int, help="of each network (default 1: two are slower for its small tensors)")

    folder = parser.add_argument_group("results").add_mutually_exclusive_group()
    folder.add_argument("--out", type=Path, help=f"results folder (default: a new one in {RESULTS / task})")
    folder.add_argument("--resume", type=Path, metavar="FOLDER", help="go on with a run that was broken off")


def _preset(task: str, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a preset: those of methods that are not trained, and of options that are given, are left out."""
    kind = find_task(task)
    settings = kind.preset(name, given)
    methods = {"", *given.get("methods", settings.get("methods", kind.methods))}
    parts = {key: key.rpartition(".") for key in settings}
    return {key: settings[key] for key, (method, _, own) in parts.items() if method in methods and own not in given}


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
    if "all" in given.get("methods", ()):
        given["methods"] = method_names()
    if isinstance(given.get("splits"), int):
        given["splits"] = list(range(given["splits"]))
    if resume is None:
        run = Run(task, {**_preset(task, preset or "demo", given), **given})
        config = {"task": task, **run.as_json()}
        folder = RunFolder.create_numbered(RESULTS / task, config) if out is None else RunFolder.create(out, config)
    else:
        folder = RunFolder(resume)
        saved = folder.config()
        refuse_difference(str(resume), saved, {**saved, "task": task})
        run = Run(task, {name: value for name, value in saved.items() if name != "task"})
        if preset is not None:
            given = {**_preset(task, preset, given), **given}
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
