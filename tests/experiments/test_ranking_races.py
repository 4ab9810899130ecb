"""Races: the table, features that never look ahead, lists, and the command."""

from __future__ import annotations

import dataclasses
import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch

from experiments.__main__ import main
from experiments.ranking.agreement import correlations, paired_test
from experiments.ranking.race_table import FEATURES, Race, Start, features, grid_places, read_races
from experiments.ranking.races import classified
from experiments.ranking.task import Rankings

HEADER = "season,round,date,circuit,driver,constructor,grid,qualifying_s,practice_s,finish,laps,retired"
TRUE_DATA = Path(os.environ.get("COMBDIFF_DATA", "missing")) / "f1" / "races.csv.gz"


def random_races(count: int, drivers: int = 6, seed: int = 0) -> list[Race]:
    """Races in which everything is drawn."""
    rng = np.random.default_rng(seed)
    races = []
    for number in range(count):
        finish = rng.permutation(drivers) + 1
        starts = [
            Start(
                f"driver-{i}",
                f"team-{i // 2}",
                None if i == 3 else int(place) + 1,
                None if rng.random() < 0.2 else 80 + rng.random(),
                90 + rng.random(),
                "DNF" if finish[i] > 4 else int(finish[i]),
            )
            for i, place in enumerate(rng.permutation(drivers))
        ]
        races.append(Race(2000 + number // 4, 1 + number % 4, "somewhere", starts))
    return races


def write(path: Path, races: list[Race]) -> Path:
    lines = [HEADER]
    for race in races:
        for start in race.starts:
            grid = "PL" if start.grid is None else start.grid
            times = ["" if time is None else f"{time:.3f}" for time in (start.qualifying, start.practice)]
            who = f"{start.driver},{start.constructor}"
            lines.append(f"{race.season},{race.round},d,{race.circuit},{who},{grid},{','.join(times)},{start.finish},,")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_no_feature_looks_ahead() -> None:
    races, other = random_races(20), random_races(20, seed=1)
    now = 12
    same_start = [
        dataclasses.replace(start, finish="DNF" if start.finish == 1 else 1 + i)
        for i, start in enumerate(races[now].starts)
    ]
    changed = [*races[:now], dataclasses.replace(races[now], starts=same_start), *other[now + 1 :]]
    before, after = features(races), features(changed)
    for number in range(now + 1):
        np.testing.assert_array_equal(before[number], after[number])
    past = [i for i, name in enumerate(FEATURES) if name.startswith(("driver", "constructor"))]
    changed = [*changed[: now + 1], races[now + 1]]
    moved = (features(changed)[now + 1] != before[now + 1]).any(0)  # but the result counts from the next race on
    assert {FEATURES[i] for i in past if not moved[i]} <= {"driver's grids", "driver's experience"}
    assert not moved[[i for i in range(len(FEATURES)) if i not in past]].any()


def test_the_order_of_lines_says_nothing_of_the_result(tmp_path: Path) -> None:
    races = random_races(3)
    turned = [dataclasses.replace(race, starts=race.starts[::-1]) for race in races]
    one, two = read_races(write(tmp_path / "a.csv", races)), read_races(write(tmp_path / "b.csv", turned))
    assert one == two
    assert [start.grid for start in one[0].starts] == [*sorted(s.grid for s in races[0].starts if s.grid), None]


def test_features_of_one_race() -> None:
    starts = [
        Start("a", "x", 1, 100.0, None, 1),
        Start("b", "x", 4, 102.0, 50.0, "DNF"),
        Start("c", "y", None, None, 51.0, 2),
        Start("d", "y", None, 300.0, 50.0, "DSQ"),
    ]
    first, second = features([Race(2000, 1, "here", starts), Race(2000, 2, "there", starts)])
    column = {name: first[:, i].tolist() for i, name in enumerate(FEATURES)}
    assert grid_places(Race(2000, 1, "here", starts)).tolist() == [1, 2, 3.5, 3.5]
    assert column["grid"] == [0.25, 0.5, 0.875, 0.875]
    assert column["pit lane"] == [0, 0, 1, 1]
    assert column["qualifying gap"] == pytest.approx([0, 0.02, 0.1, 0.1])
    assert column["no qualifying time"] == [0, 0, 1, 0]
    assert column["practice gap"] == pytest.approx([0.1, 0, 0.02, 0])
    assert set(column["driver's experience"]) == {0}
    change = {name: (second - first)[:, i].tolist() for i, name in enumerate(FEATURES)}
    results = change["driver's results"]
    assert results[0] < 0
    assert results[1] == results[3] == 0, "a retirement, or a disqualification, is no result"
    retirements = change["driver's retirements"]
    assert retirements[1] > 0 > retirements[3]
    assert change["constructor's retirements"][0] == change["constructor's retirements"][1]


def test_only_classified_finishers_are_ranked() -> None:
    finish: list[int | str] = [3, "DNF", 7, 1, 3, "NC"]
    race = Race(1955, 1, "here", [Start(f"d{i}", "x", i + 1, None, None, f) for i, f in enumerate(finish)])
    assert classified(race).tolist() == [2.5, 0, 4, 1, 2.5, 0]


def test_correlations_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((9, 12)), rng.integers(0, 6, (9, 12)).astype(float)
    counted = rng.random((9, 12)) < 0.7
    spearman, kendall = correlations(torch.from_numpy(a), torch.from_numpy(b), torch.from_numpy(counted))
    rows = [(x[m], y[m]) for x, y, m in zip(a, b, counted, strict=True)]
    np.testing.assert_allclose(spearman.numpy(), [scipy.stats.spearmanr(x, y).statistic for x, y in rows], atol=1e-12)
    np.testing.assert_allclose(kendall.numpy(), [scipy.stats.kendalltau(x, y).statistic for x, y in rows], atol=1e-12)


def test_paired_test_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 30))
    a[3] = np.nan
    found = paired_test(torch.from_numpy(a), torch.from_numpy(b))
    difference = np.delete(a - b, 3)
    interval = scipy.stats.ttest_1samp(difference, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.p == pytest.approx(scipy.stats.wilcoxon(difference).pvalue)
    assert found.count == 29
    assert paired_test(torch.zeros(3).double(), torch.zeros(3).double()).p == 1


def test_parts_are_seasons(tmp_path: Path) -> None:
    path = write(tmp_path / "races.csv", random_races(40))  # 2000 to 2009
    data = Rankings(data=f"races:{path}", train_from=2001, test_from=2008).load(0)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [16, 12, 8]
    later = Rankings(data=f"races:{path}", train_from=2001, test_from=2009).load(0)
    assert [len(part) for part in (later.train, later.validation, later.test)] == [20, 12, 4]
    assert torch.equal(later.test.inputs, data.test.inputs[4:])
    counted = data.test.counted
    assert (counted.sum(1) == 4).all()
    assert (data.test.inputs[..., -1] == 1).all(), "who retires has features, too"
    centre = len(FEATURES)
    torch.testing.assert_close(data.test.inputs[..., centre:-1].mean(1), torch.zeros(8, centre), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (HEADER, HEADER.replace("grid", "place"), "line 1: no column 'grid'"),
        ("2000,1,d", "MM,1,d", "line 2: season is 'MM', but must be a positive whole number"),
        (",PL,", ",first,", "line 5: grid is 'first'"),
        (",DNF,,", ",LOST,,", "finish is 'LOST'"),
        (",DNF,,", ",DNF", "not as many fields as columns"),
        (",DNF,,", ",DNF,,,5", "not as many fields as columns"),
    ],
)
def test_bad_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, message: str) -> None:
    path = write(tmp_path / "races.csv", random_races(20))
    path.write_text(path.read_text().replace(old, new, 1))
    assert main(["ranking", "--data", f"races:{path}", "--test-from", "2004", "--train-from", "2000"]) == 2
    assert message in capsys.readouterr().err


def test_bad_files_and_seasons(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "races.csv", random_races(20))
    damaged = tmp_path / "races.csv.gz"
    damaged.write_bytes(gzip.compress(path.read_bytes())[:-20])
    for arguments, message in (
        (["--data", f"races:{damaged}"], "is the copy complete?"),
        (["--data", f"races:{tmp_path / 'none.csv'}"], "is no file"),
        (["--data", f"races:{path}"], "no races for validation"),
        (["--data", f"races:{path}", "--train-from", "2004", "--test-from", "2005"], "no races for training"),
        (["--data", f"races:{path}", "--train-from", "2000", "--test-from", "2005"], "no races for test"),
    ):
        assert main(["ranking", *arguments]) == 2
        assert message in capsys.readouterr().err


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, folder = write(tmp_path / "races.csv", random_races(28)), tmp_path / "run"
    arguments = ["--data", f"races:{path}", "--train-from", "2000", "--test-from", "2006", "--epochs", "2"]
    assert main(["ranking", *arguments, "--workers", "1", "--out", str(folder)]) == 0
    rows = json.loads((folder / "summary.json").read_text())
    assert [row["method"] for row in rows][:2] == ["plackett-luce", "pairwise"]
    assert "grid" in [row["method"] for row in rows]
    assert all(-1 <= row["spearman"] <= 1 for row in rows)
    assert "less that of the grid, race by race" in " ".join(capsys.readouterr().out.split())
    assert (folder / "races.png").exists()


@pytest.mark.skipif(not TRUE_DATA.exists(), reason="COMBDIFF_DATA has no f1/races.csv.gz")
def test_the_grid_of_the_true_races() -> None:
    task = Rankings(data=f"races:{TRUE_DATA}")
    test = task.load(0).test
    assert len(test) == 66
    found = task.score(task.baselines(test)["grid"], test)
    assert (found["spearman"], found["kendall"]) == pytest.approx((0.721, 0.582), abs=1e-3)
