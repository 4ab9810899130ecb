"""Label ranking: reading, folds, scores, trainings, and the study over sets."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch

from experiments.__main__ import main
from experiments.harness.errors import InputError
from experiments.methods.regression import Regression
from experiments.ranking import label_study
from experiments.ranking.labels import FOLDS, Labels, folds, read_rankings, wine
from experiments.ranking.lists import Lists
from experiments.ranking.task import Rankings

METHODS = ["soft-rank", "soft-rank-kl", "perturbed", "pairwise", "regression"]


def write(path: Path, features: Any, ranks: Any) -> Path:
    rows = [
        ",".join([*(f"{x:.5f}" for x in row), *map(str, order)]) for row, order in zip(features, ranks, strict=True)
    ]
    path.write_text("\n".join([f"{len(rows)},{len(features[0])},{len(ranks[0])}", *rows]) + "\n")
    return path


def read(path: Path) -> Lists:
    return Labels(None, str(path)).lists()


@pytest.fixture
def linear(tmp_path: Path) -> Path:
    """80 lists of four labels, whose order a linear model knows."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((80, 5))
    return write(tmp_path / "linear.csv", features, (features @ rng.standard_normal((5, 4))).argsort(1).argsort(1) + 1)


@pytest.mark.parametrize("missing", ["", "0", " "])
def test_unknown_ranks(missing: str, tmp_path: Path) -> None:
    """Empty or 0; the others are numbered anew, whatever is missing among them."""
    file = write(tmp_path / "some.csv", [[0.5], [1.0], [2.0]], [(2, 1, 3), (3, missing, 2), (1, 2, 3)])
    features, ranks = read_rankings(file)
    assert features.tolist() == [[0.5], [1.0], [2.0]]
    assert ranks.tolist() == [[2, 1, 3], [2, 0, 1], [1, 2, 3]]
    lists = read(file)
    assert lists.mask is not None
    assert lists.mask.tolist() == [[True, True, True], [True, False, True], [True, True, True]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: '' must be n,p,k"),
        ("2;1;2\n", "line 1: '2;1;2' must be n,p,k"),
        ("2,1,1\n1,1\n2,1\n", "line 1: n,p,k = 2,1,1, with p ≥ 1 and k ≥ 2"),
        ("3,1,2\n0.5,1,2\n0.5,2,1\n", "line 1: n,p,k = 3,1,2, with p ≥ 1 and k ≥ 2, and 2 lines follow; is the copy"),
        ("2,1,2\n0.5,1,2\n0.5,2,1\n0.5,2,1\n", "and 3 lines follow"),
        ("2,1,2\n0.5,1,2\n0.5,0.1,2,1\n", "line 3: 4 fields, not 1 features and 2 ranks"),
        ("2,1,2\n0.5,1,2\n\n", "lines follow"),
        ("2,1,2\n0.5,1,2\nx,2,1\n", "line 3: could not convert string to float: 'x'"),
        ("2,1,2\nnan,1,2\n0.5,2,1\n", "line 2: a feature is not finite"),
        ("2,1,2\n0.5,1,2\n0.5,2,1.5\n", "line 3: invalid literal for int"),
        ("1,1,3\n0.5,1,2,2\n", "line 2: ranks 1,2,2 must be two or more different numbers from 1 to 3"),
        ("1,1,3\n0.5,1,2,4\n", "line 2: ranks 1,2,4 must be"),
        ("1,1,3\n0.5,-1,2,3\n", "line 2: ranks -1,2,3 must be"),
        ("1,1,3\n0.5,1,,0\n", "line 2: ranks 1,,0 must be"),
    ],
)
def test_bad_files_are_refused_with_the_line(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(text)
    with pytest.raises(InputError) as error:
        read_rankings(file)
    assert f"{file}, line " in str(error.value)
    assert message in str(error.value)


def test_bad_paths_and_splits_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    for path, message in [
        (tmp_path / "none.csv", "No such file"),
        (tmp_path, "is a folder: name one csv file of it, binary.csv"),
        (tmp_path / "binary.csv", "can't decode"),
    ]:
        assert main(["ranking", "--data", f"labels:{path}", "--out", str(tmp_path / "run")]) == 2
        assert message in capsys.readouterr().err
    for data in ("labels:", "mnist", "mnist:", "digits:x", "letters"):
        with pytest.raises(
            InputError, match=r"must be digits, labels, or one of mnist, labels, letor, races with :PATH"
        ):
            Rankings(data=data)
    with pytest.raises(InputError, match="split 10: label ranking has 10 folds"):
        Rankings(data="labels").load(10)
    with pytest.raises(InputError, match="10 folds need at least 10 lists, and there are 9"):
        folds(9)


@pytest.mark.parametrize("count", [10, 25, 178])
def test_folds_are_disjoint_and_cover(count: int) -> None:
    parts = folds(count)
    assert len(parts) == FOLDS
    assert sorted(torch.cat(parts).tolist()) == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert all(torch.equal(a, b) for a, b in zip(parts, folds(count), strict=True))
    assert not torch.equal(torch.cat(parts), torch.cat(folds(count, seed=1)))


def test_each_list_is_in_one_test_fold_and_the_parts_of_a_split_share_none(linear: Path) -> None:
    """Lists are told by their features, standardised by the training part alone."""
    task, seen = Rankings(data=f"labels:{linear}"), []
    for split in range(FOLDS):
        data = task.load(split)
        rows = torch.cat([part.inputs for part in (data.train, data.validation, data.test)])
        assert len({tuple(row) for row in rows.tolist()}) == len(rows) == 80
        torch.testing.assert_close(data.train.inputs.mean(0), torch.zeros(5), atol=1e-5, rtol=0)
        torch.testing.assert_close(data.train.inputs.std(0), torch.ones(5))
        seen.append(len(data.test))
    assert sum(seen) == 80


def test_scores_are_scipys_over_the_known_labels() -> None:
    rng = np.random.default_rng(0)
    known = rng.random((30, 6)) < 0.7
    known[:, :2] = True
    ranks, truth = (np.where(known, rng.random((30, 6)), 9).argsort(1).argsort(1) + 1.0 for _ in range(2))
    lists = Lists(torch.zeros(30, 1), torch.from_numpy(truth * known).float(), torch.from_numpy(known))
    found = Rankings(data="labels").score(torch.from_numpy(ranks * known), lists)
    for name, function in (("spearman", scipy.stats.spearmanr), ("kendall", scipy.stats.kendalltau)):
        expected = [function(a[m], b[m]).statistic for a, b, m in zip(ranks, truth, known, strict=True)]
        assert found[name] == pytest.approx(np.mean(expected), abs=1e-6)


def test_wine_is_ordered_by_class() -> None:
    """The classifier's first label is nearly always the true one."""
    features, ranks = wine()
    assert features.shape == (178, 13)
    assert (np.sort(ranks, axis=1) == [1, 2, 3]).all()
    assert (ranks.argmin(axis=1) == np.repeat([0, 1, 2], [59, 71, 48])).mean() > 0.97


def test_every_method_learns_a_linear_set(linear: Path, tmp_path: Path) -> None:
    """Also where a quarter of the ranks are unknown."""
    features, ranks = read_rankings(linear)
    ranks[np.arange(80), np.arange(80) % 4] *= np.arange(80) % 3 > 0
    holes = write(tmp_path / "holes.csv", features, ranks)
    for file in (linear, holes):
        folder = tmp_path / file.stem
        options = ["--epochs", "12", "--batch", "8", "--workers", "1", "--out", str(folder)]
        assert main(["ranking", "--data", f"labels:{file}", *options]) == 0
        rows = json.loads((folder / "summary.json").read_text())
        assert [row["method"] for row in rows] == [*METHODS, "one order for all"]
        assert min(row["spearman"] for row in rows[:-1]) > 0.85, rows
        assert rows[-1]["spearman"] < 0.7


def test_wine_is_the_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--method", "soft-rank", "--epochs", "3", "--workers", "1", "--out", str(tmp_path / "run")]
    assert main(["ranking", "--data", "labels", *options]) == 0
    assert json.loads((tmp_path / "run" / "summary.json").read_text())[0]["spearman"] > 0.8
    assert "wine (scikit-learn)" in capsys.readouterr().out


def test_models_side_by_side_reach_the_ridge_solution_of_their_own_lists(linear: Path) -> None:
    lists = read(linear)
    train = torch.stack([torch.arange(80) % 10 != one for one in range(3)])
    training = {"steps": 1500, "batch": 80, "rate": 0.1, "penalty": 0.05}
    found = label_study.fit(Regression(), lists, train, training)
    for own, scores in zip(train, found, strict=True):
        x, y = lists.inputs[own].double(), lists.solutions[own].double()
        centred = x - x.mean(0)
        weights = torch.linalg.solve(centred.T @ centred + 72 * 0.05 * torch.eye(5), centred.T @ (y - y.mean(0)))
        expected = (lists.inputs - x.mean(0)) @ weights + y.mean(0)
        torch.testing.assert_close(scores.double(), expected, atol=1e-3, rtol=0)


def test_no_model_sees_the_lists_that_it_is_tested_on(linear: Path) -> None:
    """Other labels in the lists that are held out: the same scores."""
    lists = read(linear)
    train = (torch.arange(80) % 10 != 0)[None]
    other = Lists(lists.inputs, torch.where(train.T, lists.solutions, 5 - lists.solutions))
    training = {**label_study.TRAINING, "steps": 20, "batch": 32}
    method = label_study.make_method("soft-rank", 1.0, Rankings(data=f"labels:{linear}"), lists)
    a, b = (label_study.fit(method, one, train, training) for one in (lists, other))
    assert torch.equal(a, b)
    shared = Lists(lists.inputs, 5 - lists.solutions)
    assert not torch.equal(a, label_study.fit(method, shared, train, training))


def test_each_fold_has_four_inner_folds() -> None:
    for fold in range(FOLDS):
        assert (fold, fold) in label_study.HELD_OUT
        others = [{*pair} - {fold} for pair in label_study.HELD_OUT if fold in pair and pair != (fold, fold)]
        assert len({other.pop() for other in others}) == 4


def test_the_study_goes_on_where_it_stopped(
    linear: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_study, "GRID", (0.3, 3.0))
    command = ["--data", str(tmp_path), "--steps", "40", "--out", str(tmp_path / "out"), "--method", "regression"]
    assert label_study.main(command) == 0
    with (tmp_path / "out" / "sets.csv").open() as stream:
        (first,) = csv.DictReader(stream)
    assert 1 > float(first["spearman"]) > float(first["kendall"]) > 0.7  # 0 is chance
    features, ranks = read_rankings(linear)
    write(tmp_path / "second.csv", features[:40], ranks[:40])
    capsys.readouterr()
    trained: list[str] = []
    original = label_study.cross_validate

    def counted(task: Any, lists: Lists, name: str, training: Any) -> Any:
        trained.append(name)
        return original(task, lists, name, training)

    monkeypatch.setattr(label_study, "cross_validate", counted)
    assert label_study.main([*command, "soft-rank"]) == 0
    assert trained == ["regression", "soft-rank", "soft-rank"]
    with (tmp_path / "out" / "sets.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert first in rows
    assert {(row["set"], row["method"]) for row in rows} == {
        (name, method) for name in ("linear", "second") for method in ("regression", "soft-rank")
    }
    assert "soft-rank − regression" in capsys.readouterr().out
    assert label_study.main([*command[:3], "41", *command[4:]]) == 2
    assert "belongs to another configuration: steps is 40 there and 41 here" in capsys.readouterr().err
    assert label_study.main([*command, "--rate", "0"]) == 2
    assert "rate=0.0 must be positive" in capsys.readouterr().err


def test_paired_tests_are_scipys() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 12))
    rows = [{"set": f"{i}", "method": m, "spearman": x, "kendall": x / 2} for i in range(12)
            for m, x in (("with", a[i]), ("without", b[i]))]  # fmt: skip
    found = label_study.compare([*rows, {**rows[0], "set": "alone"}], "with", "without")
    assert found["spearman"] == pytest.approx(np.mean(a - b))
    assert found["spearman_t"] == pytest.approx(scipy.stats.ttest_rel(a, b).pvalue)
    assert found["spearman_wilcoxon"] == pytest.approx(scipy.stats.wilcoxon(a, b).pvalue)
    assert found["spearman_won"] == found["kendall_won"] == f"{(a > b).sum()}/12"


@pytest.mark.skipif("COMBDIFF_DATA" not in os.environ, reason="COMBDIFF_DATA names the data")
def test_every_published_set_is_read() -> None:
    files = sorted((Path(os.environ["COMBDIFF_DATA"]) / "label_ranking").glob("*.csv"))
    assert len(files) == 15
    for file in files:
        features, ranks = read_rankings(file)
        assert features.shape[0] == ranks.shape[0]
        assert (np.sort(ranks, axis=1) == np.arange(1, ranks.shape[1] + 1)).all()
