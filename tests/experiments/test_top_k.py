"""Top-k classification: the labels' noise, the scores, and a run from end to end."""

import json
from pathlib import Path

import pytest
import torch

from experiments.__main__ import main
from experiments.harness.errors import InputError
from experiments.top_k.task import TopKClassification


def test_labels_are_wrong_in_training_and_true_in_the_test() -> None:
    noisy, clean = TopKClassification(noise=0.4).load(0), TopKClassification(noise=0.0).load(0)
    for part, share in (("train", 0.4), ("validation", 0.4), ("test", 0.0)):
        ours, truth = getattr(noisy, part), getattr(clean, part)
        assert torch.equal(ours.inputs, truth.inputs)
        wrong = (ours.labels != truth.labels).double().mean()
        assert abs(float(wrong) - share) <= 5 * (share * (1 - share) / len(truth)) ** 0.5


def test_scores_are_those_of_the_k_likeliest() -> None:
    task = TopKClassification(k=3)
    test = task.load(0).test
    costs = torch.randn(len(test), 10, generator=torch.Generator().manual_seed(0))
    found = task.score(task.solve(costs, test), test, costs)
    best = costs.topk(3).indices == test.labels[:, None]
    assert found["top_1"] == pytest.approx(float(best[:, 0].double().mean()))
    assert found["top_k"] == pytest.approx(float(best.any(1).double().mean()))


def test_bad_options() -> None:
    for words in ({"k": 10}, {"noise": 1.0}, {"noise": -0.1}):
        with pytest.raises(InputError):
            TopKClassification(**words)


def test_a_run_of_every_method(tmp_path: Path) -> None:
    """Of ten classes; 200 steps. The ten of one epoch in batches of 100 are too few for any."""
    folder = tmp_path / "run"
    names = list(TopKClassification.methods)
    short = ["--epochs", "4", "--batch", "20", "--method", *names]
    assert main(["top-k", *short, "--workers", "1", "--out", str(folder)]) == 0
    rows = json.loads((folder / "summary.json").read_text())
    assert [row["method"] for row in rows] == names
    assert all(0.3 < row["top_1"] <= row["top_k"] <= 1.0 for row in rows)
    assert main(["top-k", "--first", "2", "--method", "top-k-l2", "--out", str(tmp_path / "bad")]) == 2
