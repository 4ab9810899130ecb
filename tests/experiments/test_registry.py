"""A method and a task of a user's own, from outside the package."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.__main__ import main

METHOD = '''
from dataclasses import dataclass

from experiments.harness.method import Method
from experiments.harness.options import option


@dataclass
class Share(Method):
    """The share of the costs that the labels carry: no solver."""

    power: float = option(1.0, "of the share", positive=True)

    def setup(self, solver, train):
        self.solver = solver

    def objective(self, scores, examples):
        costs = self.costs(scores).flatten(1)
        share = (costs * examples.solutions.flatten(1)).sum(1) / costs.sum(1)
        return share.pow(self.power).sum()
'''
TASK = '''
"""Pick the cheapest of three."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from combdiff.solvers import TopK
from experiments.harness.options import option
from experiments.harness.table import Column
from experiments.harness.task import DataSet, Task


@dataclass
class Pairs:
    inputs: torch.Tensor
    solutions: torch.Tensor
    costs: torch.Tensor
    has_costs: ClassVar[bool] = True

    def __len__(self):
        return len(self.inputs)

    def pick(self, index):
        return Pairs(self.inputs[index], self.solutions[index], self.costs[index])

    def instances(self):
        return None


@dataclass
class Cheapest(Task):
    methods: ClassVar = ("perturbed", "two-stage")
    target: ClassVar = "right"
    columns: ClassVar = (Column("right", "right", "{:.1%}"),)
    examples: int = option(40, "of each part", least=1)

    def describe(self):
        return "Cheapest of three"

    def load(self, split):
        rng = torch.Generator().manual_seed(split)
        parts = []
        for _ in range(3):
            costs = torch.rand(self.examples, 3, generator=rng, dtype=torch.float64)
            parts.append(Pairs(costs.float(), self.solve(costs, None).float(), costs))
        return DataSet(*parts, augment=lambda inputs: inputs)

    def network(self, examples):
        return nn.Linear(3, 3)

    def solver(self, backend, examples):
        return TopK(3, 1, sense="min")

    def solve(self, costs, examples):
        return nn.functional.one_hot(costs.argmin(1), 3).double()

    def score(self, solutions, examples, costs=None):
        return {"right": float((solutions == examples.solutions).all(1).double().mean())}
'''


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module with a method and a task."""
    name = f"own_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(TASK + METHOD)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_own_method(own: str, tmp_path: Path) -> None:
    arguments = ["--size", "4", "--maps", "16", "--validation-maps", "6", "--test-maps", "6", "--epochs", "1"]
    folder = tmp_path / "run"
    method = ["--method", f"{own}:Share", "two-stage", "--power", "2"]
    assert main(["shortest-path", *arguments, *method, "--workers", "1", "--out", str(folder)]) == 0
    assert [row["method"] for row in json.loads((folder / "summary.json").read_text())][:2] == [
        f"{own}:Share",
        "two-stage",
    ]
    assert json.loads((folder / "config.json").read_text())[f"{own}:Share.power"] == 2.0
    assert main(["shortest-path", "--resume", str(folder), "--workers", "1"]) == 0


def test_own_task(own: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    arguments = ["--examples", "60", "--epochs", "30", "--learning-rate", "0.05", "--workers", "1"]
    assert main([f"{own}:Cheapest", *arguments, "--out", str(folder)]) == 0
    rows = json.loads((folder / "summary.json").read_text())
    assert [row["method"] for row in rows] == ["perturbed", "two-stage"]
    assert min(row["right"] for row in rows) > 0.8
    assert "Cheapest of three" in capsys.readouterr().out
    assert main(["shortest-path", "--resume", str(folder)]) == 2
    assert "task is" in capsys.readouterr().err
