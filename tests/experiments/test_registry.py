"""Tasks and methods of a user's own, from outside the package."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from experiments.__main__ import main
from tests.snippets import FILES

DECISIONS = '''
"""Choose two of four projects by predicted values; each day some are not on offer."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from combdiff.solvers import KSubset, KSubsetInstances
from experiments.harness.table import Column
from experiments.harness.task import DataSet, Examples, Task


@dataclass(frozen=True)
class Days(Examples):
    inputs: Tensor
    true_costs: Tensor
    allowed: Tensor
    solutions: Tensor | None = None

    def instances(self):
        return KSubsetInstances(allowed=self.allowed.numpy())


@dataclass
class Projects(Task[Days]):
    methods: ClassVar = ("perturbed", "interpolation", "two-stage")
    target: ClassVar = "value"
    columns: ClassVar = (Column("value", "of the best value", "{:.1%}"),)

    def describe(self):
        return "Two of four projects"

    def load(self, split):
        generator, parts = torch.Generator().manual_seed(split), []
        weights = torch.randn(3, 4, generator=generator)
        for _ in range(3):
            features = torch.randn(60, 3, generator=generator)
            allowed = torch.ones(60, 4, dtype=torch.bool)
            allowed[torch.arange(60), torch.randint(0, 4, (60,), generator=generator)] = False
            days = Days(features, (features @ weights).exp().double(), allowed)
            parts.append(Days(days.inputs, days.true_costs, allowed, self.solve(days.true_costs, days).float()))
        return DataSet(*parts)

    def network(self, examples):
        return nn.Linear(3, 4)

    def solver(self, backend, examples):
        return KSubset(4, 2, sense="max")

    def score(self, solutions, examples, costs=None):
        assert not (solutions.bool() & ~examples.allowed).any(), "every row has its own feasible set"
        value = (solutions * examples.true_costs).sum() / (examples.solutions * examples.true_costs).sum()
        return {"value": float(value)}

    def loss(self, y, examples):
        return -(y * examples.true_costs).sum()
'''
BOARDS = '''
"""Sudoku 4×4: read the cells that are not given from noisy scores; the loss sees these only."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from combdiff.solvers import Sudoku, SudokuInstances
from experiments.harness.table import Column
from experiments.harness.task import DataSet, Examples, Task, distance


@dataclass(frozen=True)
class Boards(Examples):
    inputs: Tensor  # (boards, 4, 4, 4, 2)
    solutions: Tensor  # (boards, 4, 4, 4)
    clues: Tensor  # (boards, 4, 4), 0 = blank

    def instances(self):
        return SudokuInstances(clues=self.clues.numpy())


@dataclass
class Reading(Task[Boards]):
    methods: ClassVar = ("interpolation",)
    target: ClassVar = "cells"
    columns: ClassVar = (Column("cells", "cells", "{:.1%}"),)

    def describe(self):
        return "Boards"

    def load(self, split):
        generator, parts = torch.Generator().manual_seed(split), []
        for _ in range(3):
            costs = torch.randn(12, 4, 4, 4, generator=generator)
            boards = self.solve(costs, Boards(costs, costs, torch.zeros(12, 4, 4, dtype=torch.int64))).float()
            clues = boards.argmax(-1) + 1
            clues[:, 1:] = 0
            noise = 0.1 * torch.randn(12, 4, 4, 4, 2, generator=generator)
            parts.append(Boards(noise + torch.stack([boards, 0 * boards], -1), boards, clues))
        return DataSet(*parts)

    def network(self, examples):
        return nn.Sequential(nn.Linear(2, 1), nn.Flatten(-2))

    def solver(self, backend, examples):
        return Sudoku(4)

    def loss(self, y, examples):
        blank = examples.clues == 0
        return distance("hamming", y[blank], examples.solutions[blank])

    def score(self, solutions, examples, costs=None):
        return {"cells": float((solutions * examples.solutions).sum(-1).mean())}
'''
TEXTS = {
    "own_sorting": FILES["experiments/sorting/task.py"],
    "own_pairwise": FILES["experiments/methods/pairwise.py"],
    "own_decisions": DECISIONS,
    "own_boards": BOARDS,
    "own_unfinished": FILES["experiments/methods/pairwise.py"].replace("def objective", "def objection"),
}
SORTING = ["own_sorting:Sorting", "--epochs", "8", "--learning-rate", "0.05", "--workers", "1"]
MAPS = ["--size", "4", "--maps", "16", "--validation-maps", "6", "--test-maps", "6", "--epochs", "1", "--workers", "1"]


@pytest.fixture(autouse=True)
def own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a user, in a folder that Python looks into."""
    for name, text in TEXTS.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)


def run(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    assert main([*arguments, "--out", str(folder)]) == 0
    return json.loads((folder / "summary.json").read_text())


def numbers(folder: Path, method: str) -> list[dict[str, Any]]:
    """What a method's training was, but for what a clock measured."""
    with (folder / "metrics.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["method"] == method]
    return [{key: value for key, value in row.items() if key not in ("seconds", "solver_share")} for row in rows]


def test_own_ranking_task_and_method(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    methods = ["interpolation", "perturbed", "own_pairwise:Pairwise"]
    rows = run(tmp_path / "run", *SORTING, "--method", *methods, "--epsilon", "0.2")
    assert [row["method"] for row in rows] == methods
    assert min(row["places"] for row in rows) > 0.6, rows  # a quarter are right by chance
    out = capsys.readouterr().out
    assert "Lists of 4 images" in out
    assert "right places" in out
    assert "sorted.png" in (tmp_path / "run" / "report.html").read_text()
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["own_pairwise:Pairwise.epsilon"] == 0.2
    assert main(["own_sorting:Sorting", "--resume", str(tmp_path / "run"), "--workers", "1"]) == 0
    assert main(["shortest-path", "--resume", str(tmp_path / "run")]) == 2
    assert "task is" in capsys.readouterr().err


def test_own_method_changes_no_numbers_of_others(tmp_path: Path) -> None:
    without, beside = tmp_path / "without", tmp_path / "beside"
    run(without, *SORTING, "--method", "perturbed")
    run(beside, *SORTING, "--method", "own_pairwise:Pairwise", "perturbed", "--workers", "2")
    assert numbers(without, "perturbed") == numbers(beside, "perturbed")
    assert len(numbers(beside, "own_pairwise:Pairwise")) == len(numbers(without, "perturbed")) == 8


def test_own_method_is_left_out_of_data_without_its_supervision(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [row["method"] for row in run(tmp_path / "run", *SORTING, "--method", "two-stage", "perturbed")] == [
        "perturbed"
    ]
    assert "no true costs: two-stage is left out" in capsys.readouterr().out


def test_own_decision_task(tmp_path: Path) -> None:
    options = ["--epochs", "20", "--learning-rate", "0.05", "--workers", "1"]
    rows = run(tmp_path / "run", "own_decisions:Projects", *options)
    assert [row["method"] for row in rows] == ["perturbed", "interpolation", "two-stage"]
    assert min(row["value"] for row in rows) > 0.8, rows
    assert run(tmp_path / "task", "own_decisions:Projects", *options, "--method", "perturbed", "--loss", "task")


def test_own_formula_task(tmp_path: Path) -> None:
    pytest.importorskip("pysat")
    options = ["--epochs", "4", "--learning-rate", "0.5", "--workers", "1"]
    rows = run(tmp_path / "run", "own_boards:Reading", *options)
    assert min(row["cells"] for row in rows) > 0.9, rows


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("own_pairwise:Pairwis", "own_pairwise has no class Pairwis that derives from Method, but Pairwise"),
        ("own_unfinished:Pairwise", "the class Pairwise does not define objective"),
        ("own_missing:Pairwise", "No module named 'own_missing'; start in its folder, or set PYTHONPATH"),
    ],
)
def test_bad_names(name: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shortest-path", *MAPS, "--method", name]) == 2
    assert message in capsys.readouterr().err
