"""Sorting handwritten numbers: the lists, the scores, the network, and the command."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from experiments.__main__ import main
from experiments.digits import pools, scans
from experiments.harness.registry import find_method, method_names
from experiments.harness.task import Task
from experiments.methods.interpolation import Interpolation
from experiments.ranking.digits import NumberNetwork, draw_lists
from experiments.ranking.task import Rankings
from experiments.shortest_path.task import ShortestPaths

TINY = ["--lists", "32", "--test-lists", "16", "--epochs", "1", "--batch", "16", "--workers", "1"]


def test_ranks_and_images_are_those_of_the_digits() -> None:
    pool = pools(*scans(), 3)[0]
    lists = draw_lists(pool, 20, 6, 3, (3, 0))
    assert lists.digits is not None
    values = (lists.digits * torch.tensor([100, 10, 1])).sum(-1)
    assert torch.equal(lists.solutions.long() - 1, values.argsort(1).argsort(1))
    assert all(len(row.unique()) == 6 for row in values)
    known = {(image.tobytes(), int(label)) for image, label in zip(pool.images, pool.labels, strict=True)}
    for image, digits in zip(lists.inputs.flatten(0, 1)[:, 0], lists.digits.flatten(0, 1).tolist(), strict=True):
        tiles = (255 * image).round().to(torch.uint8).split(8, dim=1)
        assert all((tile.numpy().tobytes(), digit) in known for tile, digit in zip(tiles, digits, strict=True))


def test_parts_share_no_handwriting_and_splits_differ() -> None:
    first, second = Rankings(lists=30, test_lists=30).load(0), Rankings(lists=30, test_lists=30).load(1)
    tiles = [
        {tile.numpy().tobytes() for image in part.inputs.flatten(0, 2) for tile in image.split(8, dim=1)}
        for part in (first.train, first.validation, first.test)
    ]
    assert not tiles[0] & tiles[1]
    assert not tiles[0] & tiles[2]
    assert not tiles[1] & tiles[2]
    assert not torch.equal(first.train.inputs, second.train.inputs)
    assert torch.equal(first.test.inputs, Rankings(lists=30, test_lists=30).load(0).test.inputs)


def test_scores() -> None:
    task = Rankings(lists=8, test_lists=50)
    test = task.load(0).test
    assert task.score(test.solutions, test) == {"exact": 1.0, "places": 1.0, "spearman": pytest.approx(1.0)}
    ranks = torch.rand(50, 5, generator=torch.Generator().manual_seed(0)).argsort(1) + 1.0
    found = task.score(ranks, test)
    pairs = [(a.tolist(), b.tolist()) for a, b in zip(ranks, test.solutions, strict=True)]
    assert found["exact"] == sum(a == b for a, b in pairs) / 50
    assert found["places"] == pytest.approx(np.mean([x == y for a, b in pairs for x, y in zip(a, b, strict=True)]))
    assert found["spearman"] == pytest.approx(np.mean([spearmanr(a, b).statistic for a, b in pairs]))


def test_the_network_reads_each_image_by_itself() -> None:
    network = NumberNetwork(8, 4).eval()
    images = torch.rand(3, 5, 1, 8, 32)
    order = torch.randperm(5)
    assert torch.allclose(network(images[:, order]), network(images)[:, order], atol=1e-6)
    assert NumberNetwork(8, 2, outputs=20)(torch.zeros(3, 5, 1, 8, 16)).shape == (3, 5, 20)


def test_a_run_of_every_method_that_learns_from_orders(tmp_path: Path) -> None:
    others = "top-k", "cross-entropy", "two-stage", "clue", "board", "satnet", "entry", "structured-hinge"
    names = [name for name in method_names() if not name.startswith(others)]
    known = {"solutions", "strict_orders", "digits"}  # not relevances, costs, vertices
    assert main(["ranking", *TINY, "--length", "3", "--method", *names, "--out", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "summary.json").read_text())
    assert {row["method"] for row in rows} >= {name for name in names if known >= set(find_method(name).needs)}
    assert all(0 <= row["exact"] <= row["places"] <= 1 for row in rows)
    picture = matplotlib.image.imread(tmp_path / "sorted.png")
    assert picture[..., :3].std() > 0.02


@pytest.mark.parametrize("method", ["soft-rank", "neuralsort", "perturbed", "interpolation"])
def test_it_learns(method: str, tmp_path: Path) -> None:
    easy = [
        "--length",
        "3",
        "--places",
        "1",
        "--lists",
        "600",
        "--test-lists",
        "200",
        "--epochs",
        "2",
        "--workers",
        "1",
    ]
    assert main(["ranking", *easy, "--method", method, "--out", str(tmp_path)]) == 0
    (row,) = json.loads((tmp_path / "summary.json").read_text())
    assert row["exact"] > 0.4  # chance is 1/6


@pytest.mark.parametrize(("task", "shifted"), [(Rankings(), True), (ShortestPaths(), False)])
def test_interpolation_does_not_see_a_shift_where_it_changes_no_solution(task: Task[Any], shifted: bool) -> None:
    method, scores = Interpolation(), torch.rand(3, 6, generator=torch.Generator().manual_seed(0))
    method.task = task
    assert torch.allclose(method.costs(scores), method.costs(scores + 2.0), atol=1e-5) == shifted
    assert torch.allclose(method.costs(scores).abs().mean(1), torch.ones(3))


def test_mnist_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = np.concatenate([rng.integers(0, 256, (200, 784)), np.arange(200)[:, None] % 10], axis=1)
    file = tmp_path / "mnist.csv.gz"
    with gzip.open(file, "wt") as stream:
        np.savetxt(stream, table, "%d", ",")
    out = tmp_path / "run"
    assert main(["ranking", "--data", f"mnist:{file}", *TINY, "--method", "lapsum", "--out", str(out)]) == 0
    assert "MNIST" in (out / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--length", "11", "--places", "1"], "there are but 10 numbers of 1 digits; choose more --places"),
        (["--length", "1"], "length=1 must be at least 2"),
        (["--data", "mnist"], "data='mnist' must be digits, labels, or one of mnist"),
        (["--data", "digits:here"], "data='digits:here' must be"),
        (["--data", "mnist:/nowhere.csv"], "/nowhere.csv"),
        (["--method", "soft-ndcg"], "soft-ndcg needs the"),
    ],
)
def test_bad_options(arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ranking", *TINY, *arguments, "--out", str(tmp_path / "run")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
