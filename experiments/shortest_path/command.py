"""Shortest paths: learn the cost of every tile of an image from nothing but the shortest paths.

Trains a small network end to end through the solver, beside two-stage regression on the true costs (the upper
reference) and baselines that do not look, and writes one results folder: config.json, metrics.csv,
checkpoints, summary.csv and .json, maps.png, curves.png, report.html.

examples:
  python -m experiments shortest-path
  python -m experiments shortest-path --method perturbed --sigma 0.1
  python -m experiments shortest-path --preset full --splits 5
  python -m experiments shortest-path --data planning:DATA/planning --environment mazes
  python -m experiments shortest-path --resume results/shortest-path/001
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, get_args

import torch
from rich.console import Console

from combdiff_solvers.threads import available_cores
from experiments.errors import InputError
from experiments.run_folder import RunFolder, refuse_difference
from experiments.shortest_path.config import LOSSES, METHODS, SIZES, Config, Preset
from experiments.shortest_path.experiment import run as run_experiment

RESULTS = Path("results/shortest-path")
THREADS = 1
"""two threads took 1.6 times as long as one for the small tensors of the demo; the solver uses every core anyway"""
LOG_WIDTH = 120
"""columns of the output where it does not go to a terminal"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; those that are not given are left out of the namespace."""
    data = parser.add_argument_group("data")
    data.add_argument("--data", help="digits (default), warcraft:PATH or planning:PATH")
    data.add_argument("--environment", help="which of the environments, when planning:PATH is a folder")
    data.add_argument("--terrain", choices=["smooth", "independent"], help="how digits lie (default smooth)")
    data.add_argument("--augment", choices=["warp", "noise", "none"], help="of the digits (default warp)")
    data.add_argument("--size", type=int, choices=SIZES, help="cells of a map each way (default 12)")
    data.add_argument("--maps", type=int, help="training maps")
    data.add_argument("--test-maps", type=int, help="test maps (default 1000)")
    data.add_argument("--validation-maps", type=int, help="validation maps (default 1000)")
    which = data.add_mutually_exclusive_group()
    which.add_argument("--splits", type=int, metavar="N", help="run the splits 0 to N−1, and their mean")
    which.add_argument("--split", type=int, metavar="K", help="run split K only (default 0)")

    method = parser.add_argument_group("method")
    method.add_argument(
        "--method", nargs="+", choices=[*METHODS, "all"], metavar="METHOD", help=f"{', '.join(METHODS)}, all (default)"
    )
    method.add_argument("--loss", choices=LOSSES, help="default: fenchel-young for perturbed, hamming otherwise")
    method.add_argument("--sigma", type=float, help="temperature of perturbed: scale of the noise (default 0.3)")
    method.add_argument("--samples", type=int, help="noisy solves a map of perturbed (default 8)")
    method.add_argument("--noise", choices=["gaussian", "gumbel"], help="of perturbed (default gaussian)")
    method.add_argument("--mode", choices=["additive", "multiplicative"], help="of the noise (default additive)")
    method.add_argument("--lam", type=float, help="temperature λ of interpolation (default 20)")

    train = parser.add_argument_group("training")
    train.add_argument("--preset", choices=get_args(Preset), help="demo (default: minutes) or full")
    train.add_argument("--epochs", type=int, help="passes over the training maps")
    train.add_argument("--batch", type=int, help="maps a step")
    train.add_argument("--learning-rate", type=float, help="peak of the one-cycle schedule")
    train.add_argument("--seed", type=int, help="of network and training (default 0)")
    train.add_argument("--threads", type=int, help=f"of the network (default {THREADS}: its tensors are small)")

    folder = parser.add_argument_group("results").add_mutually_exclusive_group()
    folder.add_argument("--out", type=Path, help=f"results folder (default: a new one in {RESULTS})")
    folder.add_argument("--resume", type=Path, metavar="FOLDER", help="go on with a run that was broken off")


def run(given: dict[str, Any]) -> None:
    """Run the experiment with the options that were given.

    Raises:
        InputError: for options or files that cannot be used.
        KeyboardInterrupt: after saying how to go on.
    """
    console = Console()
    if not console.is_terminal:
        console = Console(width=LOG_WIDTH)
    resume, out, preset = (given.pop(name, None) for name in ("resume", "out", "preset"))
    threads = given.pop("threads", THREADS)
    if not 1 <= threads <= available_cores():
        raise InputError(f"threads={threads} must be from 1 to {available_cores()}, one for each core of this machine")
    torch.set_num_threads(threads)
    settings = _settings(given)
    if resume is None:
        config = Config.preset(preset or "demo", settings)
        create, where = (RunFolder.create_numbered, RESULTS) if out is None else (RunFolder.create, out)
        folder = create(where, config.as_json())
    else:
        folder = RunFolder(resume)
        saved = folder.config()
        wanted = {**saved, **settings} if preset is None else Config.preset(preset, settings).as_json()
        refuse_difference(str(resume), saved, Config.from_json(wanted).as_json())
        config = Config.from_json(saved)
    try:
        run_experiment(config, folder, console)
    except KeyboardInterrupt:
        hint = f"interrupted; go on with: python -m experiments shortest-path --resume {folder.path}"
        console.print(hint, soft_wrap=True, highlight=False)
        raise


def _settings(given: dict[str, Any]) -> dict[str, Any]:
    """Options as fields of `Config`."""
    settings = dict(given)
    if "method" in settings:
        names = settings.pop("method")
        settings["methods"] = METHODS if "all" in names else tuple(dict.fromkeys(names))
    if "splits" in settings:
        settings["splits"] = tuple(range(settings["splits"]))
    if "split" in settings:
        settings["splits"] = (settings.pop("split"),)
    return settings
