"""Learning to rank: svmlight files, ragged lists, ranking losses, and the command."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
import torch

from experiments.__main__ import main
from experiments.harness.errors import InputError
from experiments.harness.task import DataSet
from experiments.ranking.letor import divide, find_files, to_lists
from experiments.ranking.lists import Lists
from experiments.ranking.svmlight import read_queries
from experiments.ranking.task import Rankings
from experiments.ranking.transforms import TRANSFORMS, logarithms, normal_scores


def write(path: Path, queries: int, seed: int = 0, ids: bool = True) -> Path:
    """Queries of 2 to 6 documents whose relevance, 0 to 2, is what feature 1 says."""
    rng = np.random.default_rng(seed)
    lines, sizes = list[str](), list[int]()
    for query in range(queries):
        sizes.append(int(rng.integers(2, 7)))
        for _ in range(sizes[-1]):
            relevance = int(rng.integers(3))
            name = f"qid:{query} " if ids else ""
            lines.append(f"{relevance} {name}1:{relevance + 0.1 * rng.random():.3f} 3:{rng.random():.3f} # a document")
    path.write_text("\n".join(lines) + "\n")
    if not ids:
        path.with_name(f"{path.name}.query").write_text("\n".join(map(str, sizes)) + "\n")
    return path


def test_both_layouts_are_the_same(tmp_path: Path) -> None:
    one, two = read_queries(write(tmp_path / "a.txt", 5)), read_queries(write(tmp_path / "a.train", 5, ids=False))
    for a, b in zip((one.relevance, one.sizes, *one.entries), (two.relevance, two.sizes, *two.entries), strict=True):
        np.testing.assert_array_equal(a, b)
    assert set(one.entries[1]) == {1, 3}
    assert len(one.entries[0]) == 2 * one.sizes.sum() == 2 * len(one.relevance)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 qid:1 1:2\n\n1 1:2\n", "line 3: no qid after the relevance"),
        ("1 qid: 1:2\n", "line 1: no qid after the relevance"),
        ("1 qid:1 1:2\n1 qid:1 1:\n", "line 2: feature 1 is ''"),
        ("1 qid:1 1:nan\n", "line 1: feature 1 is 'nan'"),
        ("1 qid:1 x:3\n", "line 1: 'x:3' is no FEATURE:VALUE"),
        ("1 qid:1 1:2 1:3\n", "line 1: feature 1 is given twice"),
        ("good qid:1 1:2\n", "line 1: relevance is 'good'"),
        ("-1 qid:1 1:2\n", "line 1: relevance is '-1', but must be a number from 0 to 30"),
        ("1 qid:1\n1 qid:2\n1 qid:1\n", "line 3: query 1 was left before"),
        ("# nothing\n", "has no documents"),
        ("31 qid:1 1:2\n", "line 1: relevance is '31', but must be a number from 0 to 30"),
        ("inf qid:1 1:2\n", "line 1: relevance is 'inf'"),
        ("1 qid:1 200000:2\n", "line 1: feature 200000 is too large a number: 100000 is the largest"),
        ("1 qid:1 -1:2\n", "line 1: '-1:2' is no FEATURE:VALUE"),
        ("1 qid:1 1:2\n1 qid:1 1:2 3\n", "line 2: '3' is no FEATURE:VALUE"),
    ],
)
def test_bad_lines(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "train.txt"
    path.write_text(text)
    with pytest.raises(InputError, match="train") as caught:
        read_queries(path)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [("2\n2\n", "add up to 4, but there are 3 documents"), ("2\nx\n", "line 2: 'x'"), ("3 0\n", "line 1: '3 0'")],
)
def test_bad_sizes_of_queries(tmp_path: Path, sizes: str, message: str) -> None:
    (tmp_path / "a.train").write_text("1 1:2\n0 1:3\n0 2:3\n")
    (tmp_path / "a.train.query").write_text(sizes)
    with pytest.raises(InputError, match=message):
        read_queries(tmp_path / "a.train")


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.train").write_bytes(b"1 qid:1 1:2\n1 qid:1 \xff\xfe\n")
    with pytest.raises(InputError, match=r"line 2, is no text .*is the copy complete"):
        read_queries(tmp_path / "a.train")


def test_query_ids_and_sizes_have_to_agree(tmp_path: Path) -> None:
    (tmp_path / "a.train").write_text("1 qid:7 1:2\n\n0 qid:7 1:3\n0 qid:8 2:3\n")
    (tmp_path / "a.train.query").write_text("2\n1\n")
    assert list(read_queries(tmp_path / "a.train").sizes) == [2, 1]
    (tmp_path / "a.train.query").write_text("1\n2\n")
    with pytest.raises(
        InputError, match=r"line 4: qid 8, but by a\.train\.query it is in query 2 with line 3, of qid 7"
    ):
        read_queries(tmp_path / "a.train")


def test_parts_need_a_relevant_document(tmp_path: Path) -> None:
    write(tmp_path / "a.train", 20)
    (tmp_path / "a.test").write_text("0 qid:1 1:0.5\n0 qid:2 1:0.7\n")
    with pytest.raises(InputError, match=r"no query for test \(of 2\) has a relevant document"):
        load(tmp_path)


def load(folder: Path, split: int = 0, **options: Any) -> DataSet[Lists]:
    return Rankings(data=f"letor:{folder}", **options).load(split)


@pytest.mark.parametrize("features", TRANSFORMS)
def test_features_are_fitted_on_training_queries_alone(tmp_path: Path, features: str) -> None:
    write(tmp_path / "a.train", 20)
    write(tmp_path / "a.test", 5, seed=1)
    before = load(tmp_path, features=features)
    (tmp_path / "a.test").write_text((tmp_path / "a.test").read_text().replace(" 3:0.", " 3:90."))
    after = load(tmp_path, features=features)
    assert torch.equal(before.train.inputs, after.train.inputs)
    assert torch.equal(before.validation.inputs, after.validation.inputs)
    assert not torch.equal(before.test.inputs, after.test.inputs)


def test_normal_scores_by_counting() -> None:
    rng = np.random.default_rng(0)
    train, x = (rng.integers(0, 6, (n, 2)).astype(np.float32) for n in (30, 9))
    found = normal_scores(train)(x)
    for (i, j), value in np.ndenumerate(x):
        below, tied = (train[:, j] < value).sum(), (train[:, j] == value).sum()
        assert found[i, j] == pytest.approx(NormalDist().inv_cdf((below + tied / 2 + 0.5) / 31), abs=1e-6)


def test_logarithms_are_standardised() -> None:
    train = np.array([[-5, 3], [0, 3], [1000, 3]], dtype=np.float32)
    found = logarithms(train)(train)
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(found.std(0), [1, 0], atol=1e-6)
    ratio = (found[0, 0] - found[1, 0]) / (found[2, 0] - found[1, 0])
    assert ratio == pytest.approx(-np.log(6) / np.log(1001), rel=1e-5)


@pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan")])
def test_bad_dropout(dropout: float) -> None:
    with pytest.raises(InputError, match="dropout"):
        Rankings(data="letor:none", dropout=dropout)


def test_bad_folders(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "none", "does not exist"), (tmp_path, "no file for train")):
        with pytest.raises(InputError, match=message):
            find_files(path)
    for name in ("a.train", "b.train", "a.test"):
        write(tmp_path / name, 3)
    with pytest.raises(InputError, match="2 files for train"):
        find_files(tmp_path)
    with pytest.raises(InputError, match="none is left for validation"):
        divide({"train": 3, "test": 2}, 0)


def test_split_0_keeps_the_parts_and_others_draw_them(tmp_path: Path) -> None:
    counts = {"train": 30, "test": 10}
    first, second = divide(counts, 0), divide(counts, 1)
    assert sorted(np.concatenate([first["train"], first["validation"]])) == list(range(30))
    assert list(first["test"]) == list(range(30, 40))
    assert sorted(np.concatenate(list(second.values()))) == list(range(40))
    assert list(second["test"]) != list(first["test"])
    assert {name: len(part) for name, part in second.items()} == {"train": 24, "validation": 6, "test": 10}
    given = divide({"train": 6, "validation": 2, "test": 2}, 0)
    assert {name: list(part) for name, part in given.items()} == {
        "train": list(range(6)),
        "validation": [6, 7],
        "test": [8, 9],
    }


def test_ties_share_their_mean_rank() -> None:
    lists = to_lists([(np.zeros((4, 1), np.float32), np.array([1.0, 0.0, 1.0, 4.0]))], 6)
    assert lists.solutions.tolist() == [[2.5, 1, 2.5, 4, 0, 0]]
    assert lists.strict_orders is None
    assert lists.lacks(["relevance", "strict_orders"]) == ["strict_orders"]
    strict = to_lists([(np.zeros((n, 1), np.float32), np.arange(n)[::-1].copy()) for n in (1, 3, 5)], 6)
    assert strict.strict_orders is not None
    assert strict.lacks(["strict_orders"]) == []


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    data.mkdir()
    write(data / "rank.train", 60, ids=False)
    write(data / "rank.test", 30, seed=1, ids=False)
    for name, more in (("rank.test", "0 1:0.5\n0 1:0.7\n"), ("rank.test.query", "2\n")):
        with (data / name).open("a") as stream:
            stream.write(more)
    arguments = ["ranking", "--data", f"letor:{data}", "--epochs", "8", "--workers", "1"]
    methods = ["list-net", "lambda-rank", "soft-ndcg", "perturbed", "plackett-luce", "digits"]
    assert main([*arguments, "--method", *methods, "--out", str(tmp_path / "run")]) == 0
    rows = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert [row["method"] for row in rows] == [*methods[:4], "random"]
    assert min(row["ndcg10"] for row in rows[:4]) > 0.95 > rows[4]["ndcg10"]
    out = " ".join(capsys.readouterr().out.split())
    assert "no strict orders: plackett-luce is left out" in out
    assert "no digits: digits is left out" in out
    assert "1 of 31 test queries have no relevant document: they are left out of the scores" in out
