"""Decisions on real data and on one's own: what the tasks read, and that nothing of the future is seen."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from experiments.__main__ import main
from experiments.decisions.energy import CHRONOLOGICAL, SLOTS, Energy
from experiments.decisions.task import DecisionTask
from experiments.decisions.traffic import DAY, KILOMETRES, LAGS, STEP, Traffic
from experiments.harness.errors import InputError

needs_data = pytest.mark.skipif("COMBDIFF_DATA" not in os.environ, reason="COMBDIFF_DATA names the real data sets")


def regrets(task: DecisionTask, split: int) -> dict[str, float]:
    test = task.load(split).test
    return {name: 100 * task.score(found, test)["regret"] for name, found in task.baselines(test).items()}


@needs_data
def test_the_mean_profile_is_the_published_baseline() -> None:
    """12.1, 5.8 and 2.3 % in the mean over shuffles of 139 test days; a ridge regression of prices is worse."""
    for capacity, published in ((60, 12.1), (120, 5.8), (180, 2.3)):
        found = [regrets(DecisionTask(data="energy", capacity=capacity, order="shuffled"), s) for s in range(6)]
        profile = np.array([one["mean profile"] for one in found])
        assert abs(profile.mean() - published) < 2 * profile.std(ddof=1) / len(profile) ** 0.5 + 0.05
        assert all(one["mean profile"] < one["ridge"] for one in found)


def energy_file(folder: Path, change: float = 0.0) -> Path:
    """Random days in the format of the published file; `change` is added to all that is known of the last days."""
    rng = np.random.default_rng(0)
    days = sum(CHRONOLOGICAL)
    x, y = rng.normal(size=(days, SLOTS, 9)), rng.uniform(1, 2, (days, SLOTS))
    x[-CHRONOLOGICAL[2] :] += change
    y[-CHRONOLOGICAL[2] :] *= 1 + rng.uniform(0, change, (CHRONOLOGICAL[2], SLOTS))
    x, y = x.reshape(-1, 9), y.ravel()
    folder.mkdir()
    weights = rng.choice([3, 5, 7], SLOTS)
    np.savez(folder / "Data.npz", X_1gtrain=x[:48], X_1gtest=x[48:], y_train=y[:48], y_test=y[48:], weights=weights)
    return folder


def test_training_days_do_not_see_later_ones(tmp_path: Path) -> None:
    """Whatever the test days are, all columns of the others, baselines among them, stay the same."""
    one, other = (
        DecisionTask(data=f"energy:{energy_file(tmp_path / name, change)}").load(0)
        for name, change in (("one", 0.0), ("other", 1.0))
    )
    for part in ("train", "validation"):
        for name, column in vars(getattr(one, part)).items():
            assert column is None or torch.equal(column, getattr(getattr(other, part), name))
    assert not torch.equal(one.test.true_costs, other.test.true_costs)
    assert one.test.references is not None
    assert other.test.references is not None
    torch.testing.assert_close(one.test.references[:, 0], other.test.references[:, 0])


def test_the_network_of_energy_begins_as_the_profile(tmp_path: Path) -> None:
    task = DecisionTask(data=f"energy:{energy_file(tmp_path / 'data')}")
    data = task.load(0)
    torch.testing.assert_close(
        task.network(data.train)(data.test.inputs), data.train.true_costs.mean(0).expand(len(data.test), -1)
    )
    assert isinstance(task.source, Energy)
    loads = torch.from_numpy(task.source.loads).double()
    assert bool((data.test.solutions.double() @ loads <= 60).all())


def roads(folder: Path, later: float = 1.0, speeds: Any = None) -> Path:
    """Six sensors on a ring with two chords, a seventh that nothing leaves; the last day's speeds times `later`."""
    folder.mkdir()
    if speeds is None:
        speeds = np.random.default_rng(1).uniform(10, 60, (7 * DAY, 7))
        speeds[-DAY:] *= later
    edges = (
        [(i, (i + 1) % 6) for i in range(6)] + [((i + 1) % 6, i) for i in range(6)] + [(0, 3), (4, 1), (2, 6), (1, 1)]
    )
    places = [(i, 100 + i, 34 + 0.01 * np.sin(i), -118 + 0.01 * np.cos(i)) for i in range(7)]
    tables: dict[str, Any] = {
        "los_speed": speeds,
        "edges": [(*edge, 1.0) for edge in edges],
        "graph_sensor_locations": places,
    }
    for name, table in tables.items():
        np.savetxt(folder / f"{name}.csv", table, delimiter=",", header="columns")
    return folder


SMALL: dict[str, Any] = {"examples": 40, "test_examples": 30, "validation_examples": 20}


def test_paths_on_roads_are_shortest_and_nothing_of_the_future_is_seen(tmp_path: Path) -> None:
    task = DecisionTask(data=f"traffic:{roads(tmp_path / 'one')}", **SMALL)
    data = task.load(0)
    source = task.source
    assert isinstance(source, Traffic)
    assert source.edges.max() == 5
    assert len(source.edges) == 14
    assert data.test.ends is not None
    assert data.train.references is not None
    for costs, ends, value in zip(data.test.true_costs, data.test.ends, data.test.objectives, strict=True):
        graph = csr_array((costs.double().numpy(), source.edges.T), shape=(6, 6))
        assert value.item() == pytest.approx(dijkstra(graph, indices=int(ends[0]))[int(ends[1])], rel=1e-5)
    torch.testing.assert_close(task.network(data.train)(data.train.inputs), data.train.references[:, 1])
    other = DecisionTask(data=f"traffic:{roads(tmp_path / 'other', later=0.5)}", **SMALL).load(0)
    for part in ("train", "validation"):  # the last day changes nothing that comes before it
        for name, column in vars(getattr(data, part)).items():
            assert column is None or torch.equal(column, getattr(getattr(other, part), name))
    week = torch.rand(DAY, 6).double().numpy()
    seen = source._inputs(week, np.ones_like(week), max(LAGS), 6)
    week[max(LAGS) + 1 :] = np.nan  # what is after now is not read
    np.testing.assert_array_equal(source._inputs(week, np.ones_like(week), max(LAGS), 6), seen)


def test_what_is_known_when_costs_are_predicted(tmp_path: Path) -> None:
    """Day d takes d + t / 100 minutes a kilometre at step t: the last value lags by the horizon, and the mean over the
    four other training days is off by 5/4 of how far a day is from the middle of the five."""
    day, step = np.divmod(np.arange(7 * DAY), DAY)
    speeds = 60 / (KILOMETRES * (1 + day + step / 100))
    folder = roads(tmp_path / "roads", speeds=np.repeat(speeds[:, None], 7, 1))
    for horizon in (15, 60):
        task = DecisionTask(data=f"traffic:{folder}", horizon=horizon, **SMALL)
        train = task.load(0).train
        assert isinstance(task.source, Traffic)
        assert train.references is not None
        last, mean = (train.true_costs[:, None] - train.references).div(torch.from_numpy(task.source.lengths)).unbind(1)
        torch.testing.assert_close(last, torch.full_like(last, horizon / STEP / 100), atol=1e-4, rtol=0)
        assert set(mean.mul(4).round().flatten().tolist()) == {-10, -5, 0, 5, 10}
    test = task.load(1).test  # the sixth of seven days, against a mean of the others
    assert test.references is not None
    assert isinstance(task.source, Traffic)
    off = (test.true_costs - test.references[:, 1]).div(torch.from_numpy(task.source.lengths))
    torch.testing.assert_close(off, torch.full_like(off, 5 - 16 / 6), atol=1e-4, rtol=0)


@needs_data
def test_the_roads_are_the_195_sensors() -> None:
    task = DecisionTask(data="traffic", **SMALL)
    assert task.load(0).train.inputs.shape[1] == 195
    found = regrets(task, 0)
    assert 0 < found["last value"] < found["equal costs"]
    assert 0 < found["time-of-day mean"] < found["equal costs"]


def test_real_data_train_by_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    words = ["--examples", "40", "--test-examples", "30", "--validation-examples", "20", "--epochs", "2"]
    data = f"traffic:{roads(tmp_path / 'roads')}"
    assert main(["decisions", "--data", data, *words, "--workers", "1", "--out", str(folder)]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in (*Traffic.methods, *Traffic.references))
    assert (folder / "regret.png").stat().st_size > 5000


LP = """Maximize
 obj: 0 a + 0 b + 0 c
Subject To
 room: 2 a + 3 b + 4 c <= 5
Binary
 a b c
End
"""


def own_file(folder: Path, costs: bool = True, solutions: bool = False) -> tuple[str, str]:
    """A knapsack whose rewards are linear in the features, as a model file and an npz file."""
    rng = np.random.default_rng(2)
    arrays: dict[str, Any] = {}
    for part, count in (("train", 48), ("val", 16), ("test", 24)):
        x = rng.normal(size=(count, 2))
        rewards = 10 * (2 + x @ np.array([[1.0, -1.0, 0.5], [0.0, 1.0, 1.0]]))
        choices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0.0]])
        arrays[f"{part}_features"] = x
        if costs:
            arrays[f"{part}_costs"] = rewards
        if solutions:
            arrays[f"{part}_solutions"] = choices[(rewards @ choices.T).argmax(1)]
    np.savez(folder / "own.npz", **arrays)
    (folder / "own.lp").write_text(LP)
    return f"npz:{folder / 'own.npz'}", str(folder / "own.lp")


MODULE = """
from combdiff.solvers import Knapsack

def knapsack():
    return Knapsack([2.0, 3.0, 4.0], 5.0)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same knapsack, made by a function."""
    (tmp_path / "my_own_model.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return "my_own_model:knapsack"


def test_own_data_for_a_model_file_and_a_function(tmp_path: Path, module: str) -> None:
    """Solutions that are given and those that are found, by either model, are the same."""
    pytest.importorskip("ortools")
    data, model = own_file(tmp_path, solutions=True)
    given = DecisionTask(data=data, model=model).load(0).test
    own_file(tmp_path)
    for name in (model, module):
        found = DecisionTask(data=data, model=name).load(0)
        assert torch.equal(given.solutions, found.test.solutions)
        assert found.train.true_costs.abs().mean().item() == pytest.approx(1.0)


def test_own_data_train_with_and_without_costs(
    tmp_path: Path, module: str, capsys: pytest.CaptureFixture[str], no_pictures: None
) -> None:
    data, _ = own_file(tmp_path)
    words = [
        "decisions",
        "--data",
        data,
        "--model",
        module,
        "--epochs",
        "30",
        "--workers",
        "1",
        "--method",
        "two-stage",
    ]
    assert main([*words, "--out", str(tmp_path / "one")]) == 0
    rows = {row["method"]: row["regret"] for row in json.loads((tmp_path / "one" / "summary.json").read_text())}
    assert rows["two-stage"] < 0.1 * rows["equal costs"]
    own_file(tmp_path, costs=False, solutions=True)
    capsys.readouterr()
    assert main([*words, "interpolation", "--out", str(tmp_path / "two")]) == 0
    out = capsys.readouterr().out
    assert "no true costs: two-stage is left out" in out
    assert "as labelled" in out
    assert main([*words, "--out", str(tmp_path / "three")]) == 2
    assert "two-stage needs the true costs of the training data, and these have none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "model", "message"),
    [
        ({}, None, "needs a model: --model FILE or --model package.module:function"),
        ({}, "missing.lp", "model='missing.lp' makes no solver: there is no file"),
        ({}, "no_such_module:make", "model='no_such_module:make' makes no solver"),
        ({"val_features": None}, "own.lp", "val_features of .* and val_costs or val_solutions.* needed"),
        ({"test_costs": np.ones((24, 4))}, "own.lp", r"test_costs of .* has shape \(24, 4\), but \(24, 3\)"),
        ({"test_costs": np.full((24, 3), np.nan)}, "own.lp", "test_costs of .* must hold finite numbers"),
        ({"train_prices": np.ones(3)}, "own.lp", "has an array 'train_prices': expected are train_features"),
        ({"train_solutions": np.zeros((48, 3))}, "own.lp", r"train_solutions of .* is .* worse than the optimum"),
        ({"test_costs": None, "test_solutions": np.ones((24, 3))}, "own.lp", "is no solution of .*own.lp"),
    ],
)
def test_bad_own_data(tmp_path: Path, change: dict[str, Any], model: str | None, message: str) -> None:
    pytest.importorskip("ortools")
    own_file(tmp_path)
    with np.load(tmp_path / "own.npz") as file:
        arrays = {name: array for name, array in {**file, **change}.items() if array is not None}
    np.savez(tmp_path / "own.npz", **arrays)
    name = str(tmp_path / model) if model == "own.lp" else model
    with pytest.raises(InputError, match=message):
        DecisionTask(data=f"npz:{tmp_path / 'own.npz'}", model=name).load(0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data": "energy:nowhere"}, "nowhere has no file Data.npz"),
        ({"data": "traffic:nowhere"}, "nowhere has no file los_speed.csv"),
        ({"model": "own.lp"}, "model='own.lp' goes with data=npz:PATH"),
        ({"data": "traffic:nowhere", "horizon": 7}, "horizon=7 must be a multiple of 5"),
    ],
)
def test_bad_real_data(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        DecisionTask(**settings).load(0)


def test_real_data_without_a_folder_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COMBDIFF_DATA", raising=False)
    with pytest.raises(InputError, match="needs a folder: write energy:FOLDER, or set COMBDIFF_DATA"):
        DecisionTask(data="energy").load(0)
