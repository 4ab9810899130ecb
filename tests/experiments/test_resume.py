"""A run that was broken off goes on to the same numbers."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from experiments.__main__ import main
from experiments.harness.errors import InputError
from experiments.harness.experiment import run_experiment
from experiments.harness.run import Run
from experiments.harness.run_folder import RunFolder
from experiments.harness.train import Training
from tests.solvers.scripts import HEAR_CTRL_C

pytestmark = pytest.mark.usefixtures("no_pictures")
SMALL = {"size": 4, "maps": 8, "validation_maps": 10, "test_maps": 10}
METHODS = ["perturbed", "interpolation", "two-stage"]
CONFIG = {**SMALL, "methods": METHODS, "maps": 24, "epochs": 4, "splits": [0, 1], "seed": 5}
TIMES = ("seconds", "solver_share", "solve_ms")


def numbers(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows without what a clock measured; as text, in which a NaN equals itself."""
    return [{key: str(value) for key, value in row.items() if not key.startswith(TIMES)} for row in rows]


def metrics(folder: RunFolder) -> list[dict[str, Any]]:
    with (folder.path / "metrics.csv").open() as stream:
        return list(csv.DictReader(stream))


def weights(folder: RunFolder) -> list[torch.Tensor]:
    found = []
    run = Run("shortest-path", folder.config())
    for split in run.settings.splits:
        for job in run.jobs(split):
            state = folder.load_checkpoint(job.checkpoint(), run.as_json())
            assert state is not None
            found += [*state["network"].values(), *state["best"]["weights"].values()]
    return found


def begin(path: Path, **config: Any) -> RunFolder:
    return RunFolder.create(path, Run("shortest-path", config).as_json())


def go_on(folder: RunFolder, workers: int = 1) -> list[dict[str, Any]]:
    with open(os.devnull, "w") as nowhere:
        return run_experiment(Run("shortest-path", folder.config()), folder, Console(file=nowhere), workers)


def test_resumed_run_equals_an_unbroken_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = begin(tmp_path / "whole", **CONFIG)
    rows = go_on(whole)
    assert len(metrics(whole)) == 2 * 3 * 4

    broken = begin(tmp_path / "broken", **CONFIG)
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
            resumed = go_on(broken)
            break
        except KeyboardInterrupt:
            kills += 1
            torch.manual_seed(kills)  # a new process begins with another state
    assert kills == 5
    assert numbers(metrics(broken)) == numbers(metrics(whole))
    assert numbers(resumed) == numbers(rows)
    for a, b in zip(weights(whole), weights(broken), strict=True):
        assert torch.equal(a, b)


def test_side_by_side_is_one_after_the_other(tmp_path: Path) -> None:
    folders = [begin(tmp_path / str(workers), **SMALL, epochs=2) for workers in (1, 2)]
    one, two = (go_on(folder, workers) for workers, folder in zip((1, 2), folders, strict=True))
    assert numbers(one) == numbers(two)
    assert numbers(metrics(folders[0])) == numbers(metrics(folders[1]))
    for a, b in zip(*map(weights, folders), strict=True):
        assert torch.equal(a, b)


def test_a_method_changes_no_numbers_of_another(tmp_path: Path) -> None:
    names = ["two-stage", "interpolation", "perturbed"]
    rows = [go_on(begin(tmp_path / str(k), **SMALL, epochs=1, methods=names[k:])) for k in range(3)]
    last = [next(row for row in found if row["method"] == "perturbed") for found in rows]
    assert numbers(last[:1]) == numbers(last[1:2]) == numbers(last[2:])


def test_seeds_matter(tmp_path: Path) -> None:
    folders = [begin(tmp_path / str(seed), **SMALL, methods=["perturbed"], epochs=1, seed=seed) for seed in (0, 1)]
    for folder in folders:
        go_on(folder)
    assert metrics(folders[0])[0]["loss"] != metrics(folders[1])[0]["loss"]


KILLED = """
import os, signal, sys
from experiments.__main__ import main
from experiments.harness.run_folder import RunFolder

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
ARGUMENTS = [
    *("--workers", "1", "--method", "interpolation", "--maps", "16", "--validation-maps", "10", "--test-maps", "10"),
    *("--epochs", "4"),
]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_process_loses_one_epoch(tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    arguments = ["shortest-path", *ARGUMENTS, "--out", str(folder)]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    config = RunFolder(folder).config()
    assert config.pop("task") == "shortest-path"
    state = RunFolder(folder).load_checkpoint("split0-interpolation", config)
    assert state is not None
    assert state["epoch"] == 2
    assert len(metrics(RunFolder(folder))) == 2
    (folder / "metrics.csv").write_bytes(b"split,\x00\xff")  # nothing depends on it: the checkpoints hold its rows
    assert main(["shortest-path", "--resume", str(folder), "--workers", "2"]) == 0
    assert [row["epoch"] for row in metrics(RunFolder(folder))] == ["1", "2", "3", "4"]


COMMAND = "from experiments.__main__ import main; raise SystemExit(main())"


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("end", ["interrupt", "kill one"])
def test_processes_end_with_their_run(end: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    arguments = ["shortest-path", "--size", "4", "--maps", "400", "--test-maps", "10", "--validation-maps", "10"]
    more = ["--method", "interpolation", "perturbed", "--workers", "2", "--epochs", "400", "--out", str(folder)]
    command = [sys.executable, "-c", HEAR_CTRL_C + COMMAND, *arguments, *more]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while len(list(folder.glob("checkpoints/*.pt"))) < 2 and process.poll() is None:
            time.sleep(0.1)
        children = [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
        workers = [pid for pid in children if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]
        assert len(workers) == 2
        if end == "kill one":
            os.kill(workers[0], signal.SIGKILL)
        else:
            process.send_signal(signal.SIGINT)
        out, error = process.communicate()
    assert process.returncode == (130 if end == "interrupt" else 2), error
    assert (f"--resume {folder}" in out) == (end == "interrupt")
    assert ("ended with exit code -9" in error) == (end == "kill one")
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        time.sleep(0.1)  # the test ends by its time limit if they do not


@pytest.mark.parametrize("key", ["epoch", "best", "history", "network", "optimizer", "scheduler", "generator"])
def test_bad_checkpoint_is_refused(key: str, tmp_path: Path) -> None:
    folder = begin(tmp_path / "run", **SMALL, methods=["two-stage"], epochs=2)
    go_on(folder)
    config = folder.config()
    state = folder.load_checkpoint("split0-two-stage", config)
    assert state is not None
    for spoilt in ({name: value for name, value in state.items() if name != key}, {**state, key: {"spoilt": 1}}):
        folder.save_checkpoint("split0-two-stage", config, spoilt)
        with pytest.raises(InputError, match=r"split0-two-stage\.pt is not a checkpoint that can be read"):
            go_on(folder)


def test_bad_checkpoint_is_refused_by_a_process_of_its_own(tmp_path: Path) -> None:
    folder = begin(tmp_path / "run", **SMALL, methods=["two-stage", "perturbed"], epochs=1)
    (folder.path / "checkpoints" / "split0-two-stage.pt").write_bytes(b"spoilt")
    with pytest.raises(InputError, match=r"split0-two-stage\.pt is not a checkpoint that can be read"):
        go_on(folder, workers=2)


def test_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    folder = begin(tmp_path / "run", **SMALL, methods=["interpolation"], epochs=1)
    go_on(folder)
    folder.write_json("config.json", {**folder.config(), "interpolation.lam": 5.0})
    with pytest.raises(InputError, match=r"interpolation\.lam is 20\.0 there and 5\.0 here"):
        go_on(folder)
