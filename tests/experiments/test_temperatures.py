"""Runs at several temperatures: the choice on the validation examples, and the numbers of single runs."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from experiments.__main__ import main
from experiments.harness.experiment import best_temperatures
from experiments.harness.run import Job

TINY = ["--lists", "64", "--test-lists", "40", "--epochs", "2", "--length", "3", "--places", "1", "--workers", "1"]
SWEEP = ["--temperatures", "0.1", "1", "10"]


def start(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    assert main(["ranking", *TINY, *arguments, "--out", str(folder)]) == 0
    rows: list[dict[str, Any]] = json.loads((folder / "summary.json").read_text())
    return rows


def every_training(folder: Path) -> list[dict[str, str]]:
    with (folder / "temperatures.csv").open() as stream:
        return list(csv.DictReader(stream))


def numbers(row: dict[str, Any]) -> dict[str, float]:
    return {name: float(row[name]) for name in ("exact", "places", "spearman", "validation")}


def test_a_sweep_has_the_numbers_of_single_runs(tmp_path: Path) -> None:
    start(tmp_path / "sweep", *SWEEP, "--method", "soft-rank", "perturbed", "digits")
    rows = {(row["method"], row["temperature"]): row for row in every_training(tmp_path / "sweep")}
    assert len(rows) == 7
    for method, option, value in (("soft-rank", "epsilon", "10.0"), ("perturbed", "sigma", "0.1")):
        (single,) = start(tmp_path / method, "--method", method, f"--{option}", value)
        assert numbers(single) == numbers(rows[method, value])
        assert single["temperature"] is None
    (single,) = start(tmp_path / "digits", "--method", "digits")
    assert numbers(single) == numbers(rows["digits", ""])


def test_the_table_has_the_temperature_that_is_best_on_validation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = start(tmp_path, *SWEEP, "--splits", "2", "--method", "soft-rank")
    rows = every_training(tmp_path)
    mean = {
        heat: sum(float(row["validation"]) for row in rows if float(row["temperature"]) == heat) / 2
        for heat in (0.1, 1.0, 10.0)
    }
    assert all(mean[row["temperature"]] == max(mean.values()) for row in table)
    assert [row["split"] for row in table] == [0, 1, "mean"]
    lines = capsys.readouterr().out
    assert lines.count("←") == 1
    assert "on validation" in lines


def test_splits_after_the_tuned_ones_are_trained_at_the_chosen_temperature_alone(tmp_path: Path) -> None:
    table = start(tmp_path, *SWEEP, "--splits", "3", "--tune-splits", "1", "--method", "soft-rank")
    (chosen,) = {row["temperature"] for row in table}
    names = sorted(file.stem for file in (tmp_path / "checkpoints").iterdir())
    later = [f"split{split}-soft-rank-{chosen:g}" for split in (1, 2)]
    assert names == [*(f"split0-soft-rank-{heat}" for heat in ("0.1", "1", "10")), *later]


def test_the_choice_is_the_mean_over_splits_of_each_method_and_solver() -> None:
    scores = {
        Job(0, "a", "", 1.0): 0.5,
        Job(1, "a", "", 1.0): 0.5,
        Job(0, "a", "", 2.0): 0.9,
        Job(1, "a", "", 2.0): 0.0,
        Job(0, "a", "glop", 1.0): 0.1,
        Job(0, "a", "glop", 2.0): 0.2,
        Job(0, "b", "", None): 0.3,
    }
    best = best_temperatures({job: {"validation": score} for job, score in scores.items()})
    assert best == {("a", ""): 1.0, ("a", "glop"): 2.0, ("b", ""): None}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--temperatures", "1", "0"], "temperatures=0.0 must be a positive, finite number"),
        (["--temperatures", "1", "--method", "digits"], "none of digits has a temperature"),
        (["--tune-splits", "0"], "tune_splits=0 must be at least 1"),
    ],
)
def test_bad_options(arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ranking", *TINY, *arguments, "--out", str(tmp_path / "run")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_sweep_where_the_target_is_no_column(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--size", "4", "--maps", "8", "--validation-maps", "6", "--test-maps", "6", "--epochs", "1"]
    method = ["--method", "perturbed", "--temperature", "0.1", "1", "--workers", "1", "--out", str(tmp_path / "run")]
    assert main(["shortest-path", *sizes, *method]) == 0
    assert len(every_training(tmp_path / "run")) == 2
    assert "on validation" in capsys.readouterr().out
    assert "against temperature" in (tmp_path / "run" / "report.html").read_text()
