"""A run that was broken off goes on to the same numbers."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from experiments.__main__ import main
from experiments.errors import InputError
from experiments.run_folder import RunFolder
from experiments.shortest_path.config import METHODS, Config
from experiments.shortest_path.experiment import run
from experiments.shortest_path.train import Training

CONFIG = Config(
    methods=METHODS, size=4, maps=24, validation_maps=10, test_maps=10, epochs=4, batch=8, splits=(0, 1), seed=5
)
TIMES = ("seconds", "solver_share")


def numbers(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows without what a clock measured; as text, in which a NaN equals itself."""
    return [{key: str(value) for key, value in row.items() if not key.startswith(TIMES)} for row in rows]


def metrics(folder: RunFolder) -> list[dict[str, Any]]:
    with (folder.path / "metrics.csv").open() as stream:
        return list(csv.DictReader(stream))


def weights(folder: RunFolder, config: Config) -> list[torch.Tensor]:
    found = []
    for split in config.splits:
        for name in config.methods:
            state = folder.load_checkpoint(f"split{split}-{name}", config.as_json())
            assert state is not None
            found += [*state["network"].values(), *state["best"]["weights"].values()]
    return found


def quiet() -> Console:
    return Console(file=open(os.devnull, "w"))


def test_resumed_run_equals_an_unbroken_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = RunFolder.create(tmp_path / "whole", CONFIG.as_json())
    rows = run(CONFIG, whole, quiet())
    assert len(metrics(whole)) == 2 * 3 * 4

    broken = RunFolder.create(tmp_path / "broken", CONFIG.as_json())
    epochs, run_epoch = 0, Training.run_epoch

    def until_killed(self: Training, *arguments: Any) -> None:
        nonlocal epochs
        epochs += 1
        if epochs % 5 == 0:  # in the middle of a method, and between methods
            raise KeyboardInterrupt
        run_epoch(self, *arguments)

    monkeypatch.setattr(Training, "run_epoch", until_killed)
    kills = 0
    while True:
        try:
            resumed = run(CONFIG, broken, quiet())
            break
        except KeyboardInterrupt:
            kills += 1
            torch.manual_seed(kills)  # a new process begins with another state
    assert kills == 5
    assert numbers(metrics(broken)) == numbers(metrics(whole))
    assert numbers(resumed) == numbers(rows)
    for a, b in zip(weights(whole, CONFIG), weights(broken, CONFIG), strict=True):
        assert torch.equal(a, b)


def test_seeds_matter(tmp_path: Path) -> None:
    one = Config(methods=("perturbed",), size=4, maps=16, validation_maps=10, test_maps=10, epochs=1)
    other = Config.from_json({**one.as_json(), "seed": 1})
    folders = [RunFolder.create(tmp_path / str(config.seed), config.as_json()) for config in (one, other)]
    for config, folder in zip((one, other), folders, strict=True):
        run(config, folder, quiet())
    assert metrics(folders[0])[0]["loss"] != metrics(folders[1])[0]["loss"]


KILLED = """
import os, signal, sys
from experiments.__main__ import main
from experiments.run_folder import RunFolder

save, count = RunFolder.save_checkpoint, 0

def save_and_die(self, *arguments):
    global count
    count += 1
    if count == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    save(self, *arguments)

RunFolder.save_checkpoint = save_and_die
main(sys.argv[1:])
"""
SMALL = [
    *("--method", "interpolation", "--maps", "16", "--validation-maps", "10", "--test-maps", "10"),
    *("--epochs", "4"),
]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_process_loses_one_epoch(tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    arguments = ["shortest-path", *SMALL, "--out", str(folder)]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    state = RunFolder(folder).load_checkpoint("split0-interpolation", RunFolder(folder).config())
    assert state is not None
    assert state["epoch"] == 2
    assert len(metrics(RunFolder(folder))) == 2
    (folder / "metrics.csv").write_bytes(b"split,\x00\xff")  # nothing depends on it: the checkpoints hold its rows
    assert main(["shortest-path", "--resume", str(folder)]) == 0
    assert [row["epoch"] for row in metrics(RunFolder(folder))] == ["1", "2", "3", "4"]


@pytest.mark.parametrize("key", ["epoch", "best", "history", "network", "optimizer", "scheduler", "generator"])
def test_bad_checkpoint_is_refused(key: str, tmp_path: Path) -> None:
    one = Config(methods=("two-stage",), size=4, maps=8, validation_maps=10, test_maps=10, epochs=2)
    folder = RunFolder.create(tmp_path / "run", one.as_json())
    run(one, folder, quiet())
    state = folder.load_checkpoint("split0-two-stage", one.as_json())
    assert state is not None
    for spoilt in ({name: value for name, value in state.items() if name != key}, {**state, key: {"spoilt": 1}}):
        folder.save_checkpoint("split0-two-stage", one.as_json(), spoilt)
        with pytest.raises(InputError, match=r"split0-two-stage\.pt is not a checkpoint that can be read"):
            run(one, folder, quiet())


def test_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    one = Config(methods=("interpolation",), size=4, maps=8, validation_maps=10, test_maps=10, epochs=1)
    folder = RunFolder.create(tmp_path / "run", one.as_json())
    run(one, folder, quiet())
    with pytest.raises(InputError, match=r"lam is 20\.0 there and 5\.0 here"):
        run(Config.from_json({**one.as_json(), "lam": 5.0}), folder, quiet())
