"""Decisions: the data are those of the published generator, and every method trains."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from combdiff.losses import AdjacentVerticesLoss, ConeAlignedLoss, SPOPlusLoss
from combdiff.polyhedra import binding_normals
from experiments.__main__ import main
from experiments.decisions.generated import FIRST_SEED
from experiments.decisions.grid_paths import SIZE, GridPaths, all_paths, grid_edges
from experiments.decisions.knapsack import KnapsackDecisions, mean_ceiling
from experiments.decisions.task import DecisionTask, epoch_ratios
from experiments.harness.command import configure
from experiments.harness.run import Job
from experiments.harness.train import Training

TINY = ["--examples", "40", "--test-examples", "30", "--validation-examples", "20", "--epochs", "2", "--workers", "1"]


@pytest.mark.parametrize(
    ("kind", "module", "sizes"),
    [
        ("sp5", "shortestpath", (5, (SIZE, SIZE))),
        ("knapsack", "knapsack", (5, 7, 3)),
        ("tsp", "tsp", (10, 7)),
    ],
)
def test_the_data_are_those_of_pyepo(kind: str, module: str, sizes: tuple[Any, ...]) -> None:
    """Bit for bit, training and test examples in this order, whatever follows them."""
    generator = pytest.importorskip(f"pyepo.data.{module}")
    counts: dict[str, Any] = {"examples": 50, "test_examples": 30, "validation_examples": 20}
    for split, degree, noise in ((0, 4, 0.5), (3, 6, 0.0)):
        task = DecisionTask(data=kind, degree=degree, noise=noise, items=7, dimensions=3, cities=7, **counts)
        data = task.load(split)
        seeded = {"deg": degree, "noise_width": noise, "seed": FIRST_SEED + split}
        *weights, x, costs = generator.genData(80, *sizes, **seeded)
        np.testing.assert_array_equal(torch.cat([data.train.inputs, data.test.inputs]), x.astype(np.float32))
        np.testing.assert_array_equal(torch.cat([data.train.true_costs, data.test.true_costs]), costs)
        if weights:
            assert isinstance(data.test, KnapsackDecisions)
            assert data.test.weights is not None
            np.testing.assert_array_equal(data.test.weights[4], weights[0])
        if not noise:
            torch.testing.assert_close(data.test.mean_costs, data.test.true_costs, rtol=1e-6, atol=1e-4)


def test_the_mean_of_rounded_values() -> None:
    """Against the mean of the values at many ε; the mean before rounding would be half a unit too low."""
    sizes, noise = np.array([0.3, 0.99, 1.0, 2.7, 40.0]), np.random.default_rng(0).uniform(0.5, 1.5, (200_000, 1))
    drawn = np.ceil(sizes * noise)
    error = drawn.std(0) / len(noise) ** 0.5
    assert (np.abs(mean_ceiling(sizes, 0.5) - drawn.mean(0)) <= 5 * error).all()
    np.testing.assert_array_equal(mean_ceiling(sizes, 0.0), np.ceil(sizes))


def test_no_prediction_beats_the_expected_costs() -> None:
    """On average: not the costs of another draw, nor the means before the values are rounded, nor means of others."""
    for kind in ("sp5", "knapsack", "tsp"):
        task = DecisionTask(data=kind, examples=20, test_examples=300, cities=8, validation_examples=1)
        data = task.load(0)
        assert data.test.mean_costs is not None
        floor = task.score(task.baselines(data.test)["expected costs"], data.test)["regret"]
        assert 0 < floor < 0.15
        for worse in (data.test.mean_costs.roll(1, 0), data.train.true_costs.mean(0).expand(300, -1)):
            assert task.score(task.solve(worse, data.test), data.test)["regret"] > floor
        best = task.score(data.test.solutions.double(), data.test)
        assert best["regret"] == pytest.approx(0.0, abs=1e-6)
        assert best["optimal"] == 1.0


def test_the_edges_are_those_of_pyepo() -> None:
    model = pytest.importorskip("pyepo.model.ort").shortestPathModel((SIZE, SIZE), solver="glop")
    assert [tuple(edge) for edge in grid_edges(SIZE).tolist()] == list(model.arcs)


def test_spo_plus_is_that_of_pyepo() -> None:
    """Value and gradient, of the same costs: what differs in a table is the draw of network and batches."""
    func = pytest.importorskip("pyepo.func")
    model = pytest.importorskip("pyepo.model.ort").shortestPathModel((SIZE, SIZE), solver="glop")
    task = DecisionTask(examples=50)
    train = task.load(0).train
    theta = (train.true_costs.roll(1, 0) + 0.1).requires_grad_()
    ours = SPOPlusLoss(task.source.solver(train), "sum")(theta, train.true_costs, train.solutions)
    theirs = func.SPOPlus(model, reduction="sum")(theta, train.true_costs, train.solutions, train.objectives)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-3)
    for one, other in zip(torch.autograd.grad(ours, theta), torch.autograd.grad(theirs, theta), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("kind", ["sp5", "knapsack", "tsp"])
def test_spo_plus_trains_as_pyepos_does(kind: str) -> None:
    """From the same weights, on the same batches, to the same weights: minimised and maximised."""
    pytest.importorskip("pyepo.func")
    names, sizes = ["spo-plus", "experiments.peers.pyepo:SPOPlus"], {"items": 8, "cities": 6, "test_examples": 1}
    run = configure("decisions", {"data": kind, "methods": names, "examples": 96, "validation_examples": 8, **sizes})
    weights = []
    for name in names:
        training = Training(run, Job(0, name, ""), run.load(0))
        before = copy.deepcopy(training.network.state_dict())
        training.run_epoch()
        weights.append(training.network.state_dict())
    assert not torch.equal(before["weight"], weights[0]["weight"])
    torch.testing.assert_close(weights[0], weights[1])


def test_the_floor_is_the_published_one() -> None:
    """6.26 % on the 1,000 test examples of data seed 42, 6.72 % on those of 43: the regret of the true E[c|x]."""
    for split, floor in ((0, 0.0626), (1, 0.0672)):
        task = DecisionTask()
        test = task.load(split).test
        found = task.score(task.baselines(test)["expected costs"], test)
        assert found["regret"] == pytest.approx(floor, abs=5e-5)
        assert found["kept"] == 1 - found["regret"]


def test_solutions_and_their_cones() -> None:
    """Each solution is a shortest path, its number is right, and its cone knows it: no loss at the true costs."""
    task = DecisionTask(examples=60)
    train, source = task.load(0).train, task.source
    assert isinstance(source, GridPaths)
    paths = torch.from_numpy(all_paths(grid_edges(SIZE), 0, SIZE * SIZE - 1)).float()
    assert len(paths) == 70
    assert train.vertex is not None
    torch.testing.assert_close(paths[train.vertex], train.solutions)
    values = train.true_costs @ paths.T
    torch.testing.assert_close((train.true_costs * train.solutions).sum(1), values.amin(1))
    solver = source.solver(train)
    edges = grid_edges(SIZE)
    conservation = torch.zeros(SIZE * SIZE, len(edges))  # of each vertex, the edges that leave less those that arrive
    for number, (tail, head) in enumerate(edges.tolist()):
        conservation[tail, number], conservation[head, number] = 1.0, -1.0
    neighbours, normals = source.neighbours[train.vertex], binding_normals(train.solutions, A_eq=conservation)
    true = train.true_costs.double()
    for costs, right in ((true, True), (true.roll(1, 0), False)):
        best = (costs @ paths.double().T).argmin(1) == train.vertex
        assert bool(best.all()) == right
        for value in (
            AdjacentVerticesLoss(solver, 1e-12, "none")(costs, neighbours),
            ConeAlignedLoss(solver, reduction="none")(costs, normals),
            ConeAlignedLoss(solver, "edges", reduction="none")(costs, neighbours),
        ):
            assert torch.equal(value < 1e-9, best)


def test_every_method_trains_and_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    assert main(["decisions", *TINY, "--out", str(folder)]) == 0
    rows = {row["method"]: row for row in json.loads((folder / "summary.json").read_text())}
    assert list(rows) == [*GridPaths.methods, "expected costs", "equal costs"]
    assert all(0 <= row["regret"] < 2 for row in rows.values())
    assert min(rows["equal costs"]["regret"], *(rows[name]["regret"] for name in GridPaths.methods)) > 0
    settings = json.loads((folder / "config.json").read_text())
    expected = {"schedule": "constant", "learning_rate": 1e-2, "batch": 32, "weight_decay": 0.0, "perturbed.samples": 3}
    assert expected.items() <= settings.items()
    out = capsys.readouterr().out
    assert "an epoch, as a multiple of two-stage's (median):" in out
    assert (folder / "regret.png").stat().st_size > 5000


def test_the_floor_trains_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    assert main(["decisions", "--floor", "--data", "knapsack", "--splits", "2", *TINY, "--out", str(folder)]) == 0
    rows = json.loads((folder / "summary.json").read_text())
    assert [(row["split"], row["method"]) for row in rows] == [
        (split, name) for split in (0, 1, "mean") for name in ("expected costs", "equal costs")
    ]
    one, other, mean = (row["regret"] for row in rows[::2])
    assert mean == pytest.approx((one + other) / 2)
    assert rows[4]["interval"] == pytest.approx(12.706 * abs(one - other) / 2, rel=1e-3)  # Student's t, one degree
    assert "95 % interval" in capsys.readouterr().out
    assert (folder / "report.html").exists()


def test_the_solves_of_a_step_are_counted() -> None:
    settings = {"examples": 40, "test_examples": 1, "validation_examples": 1, "epochs": 1, "perturbed.samples": 5}
    names = {"two-stage": None, "spo-plus": 1, "interpolation": 2, "perturbed": 5, "lava": 0}
    run = configure("decisions", {"methods": list(names), **settings})
    for name, count in names.items():
        training = Training(run, Job(0, name, ""), run.load(0))
        training.run_epoch()
        assert training.effort()["solves"] == count


def test_a_run_is_the_same_twice_and_goes_on(tmp_path: Path) -> None:
    found = []
    for name in ("one", "two"):
        assert main(["decisions", *TINY, "--method", "spo-plus", "lava", "--out", str(tmp_path / name)]) == 0
        rows = json.loads((tmp_path / name / "summary.json").read_text())
        found.append([row["regret"] for row in rows])
    assert found[0] == found[1]
    assert main(["decisions", "--resume", str(tmp_path / "one"), "--workers", "1"]) == 0


def test_ratios_are_of_medians() -> None:
    rows = [{"method": name, "seconds": s} for name, s in (("two-stage", 1.0), ("two-stage", 3.0), ("lava", 3.0))]
    assert epoch_ratios(rows) == {"two-stage": 1.0, "lava": 1.5}
    assert epoch_ratios(rows[2:]) == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "sp6"], "data='sp6' must be one of sp5, knapsack, tsp"),
        (["--data", "sp5:here"], "data='sp5:here' must be one of sp5, knapsack, tsp"),
        (["--noise", "2"], "noise=2.0 must be from 0 to 1"),
        (["--degree", "0"], "degree=0 must be at least 1"),
    ],
)
def test_bad_options(arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decisions", *arguments, "--out", str(tmp_path / "run")]) == 2
    assert message in capsys.readouterr().err
