"""The command `temperatures`: numbers of single runs, what is measured, and going on after an interrupt."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest

from experiments.__main__ import main
from experiments.harness.run import Job, Run
from experiments.harness.run_folder import RunFolder
from experiments.harness.sweep.verdict import behind, read_sweeps
from experiments.harness.train import Training

TINY = "--lists 64 --test-lists 40 --epochs 2 --length 3 --places 1"
TASK = f"ranking {TINY} --method soft-rank perturbed"
TIMES = ("seconds", "solver_share", "solve_ms", "advice_seconds")


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8") as stream:
        return [{key: value for key, value in row.items() if key not in TIMES} for row in csv.DictReader(stream)]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep") / "run"
    assert main(["temperatures", "--workers", "1", "--task", TASK, "--seeds", "2",
                 "--values", "0.1,1,10", "--out", str(folder)]) == 0  # fmt: skip
    return folder


def test_a_sweep_has_the_numbers_of_single_runs(done: Path, tmp_path: Path) -> None:
    words = ["ranking", *TINY.split(), "--splits", "2", "--workers", "1", "--method", "soft-rank", "--epsilon", "10"]
    assert main([*words, "--out", str(tmp_path / "single")]) == 0
    single = json.loads((tmp_path / "single" / "summary.json").read_text())
    for split in (0, 1):
        (row,) = [
            row
            for row in rows_of(done / "ranking" / "temperatures.csv")
            if (row["method"], row["temperature"], row["split"]) == ("soft-rank", "10.0", str(split))
        ]
        assert float(row["exact"]) == single[split]["exact"]
        assert float(row["validation"]) == single[split]["validation"]


def test_a_measured_temperature_is_that_number(done: Path, tmp_path: Path) -> None:
    """Measuring draws nothing from the generator of the training, and moves no weight."""
    (perturbed,) = [one for one in read_sweeps(RunFolder(done / "ranking")) if one.variant[0] == "perturbed"]
    row = perturbed.rows["auto"][1]
    words = ["ranking", *TINY.split(), "--split", "1", "--workers", "1", "--method", "perturbed"]
    assert main([*words, "--sigma", repr(row["settled"]), "--out", str(tmp_path / "single")]) == 0
    (single,) = json.loads((tmp_path / "single" / "summary.json").read_text())
    assert (single["exact"], single["validation"]) == (row["exact"], row["validation"])


def test_what_a_sweep_leaves(done: Path) -> None:
    verdict = rows_of(done / "ranking" / "verdict.csv")
    assert [(row["method"], row["choice"]) for row in verdict] == [("soft-rank", "auto"), ("perturbed", "auto")]
    for row in verdict:
        assert (row["within"] == "yes") == (float(row["behind"]) <= float(row["bar"]))
        assert 0 < float(row["near"]) <= 1  # the best is near itself
        assert 0 < float(row["settled"]) < math.inf
    gradients = rows_of(done / "ranking" / "gradients" / "gradients.csv")
    cases = [(row["method"], row["network"], row["temperature"]) for row in gradients]
    networks = ("untrained", "trained")
    assert cases == [(m, n, t) for m in ("soft-rank", "perturbed") for n in networks for t in ("0.1", "1.0", "10.0")]
    assert all(0 <= float(row["zeros"]) <= 1 and float(row["unit"]) > 0 for row in gradients)
    for name in ("ranking/temperatures.png", "ranking/learning.png", "ranking/report.html", "report.html"):
        assert (done / name).stat().st_size > 5000


def test_a_sweep_that_was_interrupted_goes_on_and_repeats_no_epoch(
    done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs, run_epoch = 0, Training.run_epoch

    def until_killed(self: Training, *arguments: Any) -> None:
        nonlocal epochs
        if epochs == 7:
            raise KeyboardInterrupt
        run_epoch(self, *arguments)
        epochs += 1

    monkeypatch.setattr(Training, "run_epoch", until_killed)
    words = ["temperatures", "--workers", "1"]
    given = ["--task", TASK, "--seeds", "2", "--values", "0.1,1,10"]
    assert main([*words, *given, "--out", str(tmp_path / "run")]) == 130
    epochs = 8
    assert main([*words, "--resume", str(tmp_path / "run")]) == 0
    assert epochs - 8 + 7 == 2 * 2 * 4 * 2  # methods, splits, temperatures, epochs
    for name in ("temperatures.csv", "verdict.csv"):
        first, second = (rows_of(folder / "ranking" / name) for folder in (done, tmp_path / "run"))
        assert [{k: v for k, v in row.items() if k != "cost"} for row in first] == [
            {k: v for k, v in row.items() if k != "cost"} for row in second
        ]
    assert main([*words, "--seeds", "3", "--resume", str(tmp_path / "run")]) == 2


def test_an_adaptive_temperature_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["ranking", *TINY.split(), "--workers", "1", "--method", "soft-rank", "--epsilon", "adaptive:100"]
    assert main([*words, "--out", str(tmp_path / "whole")]) == 0
    run_epoch = Training.run_epoch

    def once(self: Training, *arguments: Any) -> None:
        if self.epoch:
            raise KeyboardInterrupt
        run_epoch(self, *arguments)

    monkeypatch.setattr(Training, "run_epoch", once)
    assert main([*words, "--out", str(tmp_path / "broken")]) == 130
    monkeypatch.setattr(Training, "run_epoch", run_epoch)
    assert main(["ranking", "--workers", "1", "--resume", str(tmp_path / "broken")]) == 0
    (whole,), (broken,) = (json.loads((tmp_path / name / "summary.json").read_text()) for name in ("whole", "broken"))
    for key in ("exact", "validation", "settled"):
        assert whole[key] == broken[key]
    assert whole["settled"] < 100


def test_an_adaptive_temperature_begins_at_the_method_s_own() -> None:
    for config, word, start in (
        ({"epsilon": 30.0}, "adaptive", 30.0),
        ({"epsilon": 30.0}, "adaptive:3", 3.0),
        ({"epsilon": "adaptive"}, None, 1.0),
    ):
        run = Run("ranking", {"lists": 8, "test_lists": 4, "methods": ["soft-rank"], **config})
        training = Training(run, Job(0, "soft-rank", "", word), run.load(0))
        assert training.schedule is not None
        assert float(training.schedule) == start


def test_how_far_behind_and_how_far_it_may_be() -> None:
    assert behind({0: 0.9, 1: 0.8}, {0: 0.9, 1: 0.8}) == (0.0, 0.01)
    gap, bar = behind({0: 0.9, 1: 0.8}, {0: 0.7, 1: 0.8})
    assert gap == pytest.approx(0.1)
    assert bar == pytest.approx(2 * 0.1)
    assert behind({0: 0.9}, {0: 0.8})[1] == 0.01


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["temperatures", "--values", "0.1,x"], "values='0.1,x' must be auto, or numbers with commas between"),
        (["temperatures", "--seeds", "0"], "seeds=0 must be at least 1"),
        (["temperatures", "--workers", "0"], "workers=0 must be at least 1"),
        (["temperatures", "--method", "digits"], "method 'digits' has no temperature"),
        (["temperatures", "--task", "ranking --out x"], "--out is an option of the whole sweep"),
        (["ranking", "--method", "perturbed", "--sigma", "hot"], "sigma='hot' must be a positive number, auto, adap"),
        (["ranking", "--method", "perturbed", "--sigma", "adaptive:-1"], "sigma='adaptive:-1' must be a positive num"),
        (["ranking", *TINY.split(), "--workers", "1", "--method", "regression", "--epsilon", "auto"],
         "Regression has no layer that a temperature could be measured on: give a number"),
    ],
)  # fmt: skip
def test_bad_options(words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--out", str(tmp_path / "run")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
