"""Learning to rank: svmlight files, ragged lists, ranking losses, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from combdiff.metrics import ndcg, spearman
from experiments.__main__ import main
from experiments.harness.errors import InputError
from experiments.methods.lambda_rank import LambdaRank
from experiments.methods.list_net import ListNet
from experiments.methods.plackett_luce import PlackettLuce
from experiments.methods.soft_ndcg import SoftNdcg
from experiments.ranking.letor import divide, find_files, to_lists
from experiments.ranking.lists import Lists
from experiments.ranking.svmlight import read_queries
from experiments.ranking.task import Rankings

LOSSES = [ListNet, PlackettLuce, LambdaRank, SoftNdcg]


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


def example_lists() -> Lists:
    judged = [np.array([2.0, 0.0, 1.0]), np.array([0.0, 1.0, 3.0, 2.0]), np.array([0.0, 0.0]), np.array([1.0])]
    return to_lists([(np.zeros((len(r), 1), np.float32), r) for r in judged], 5)


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
        ("-1 qid:1 1:2\n", "line 1: relevance is '-1', but must be a number of at least 0"),
        ("1 qid:1\n1 qid:2\n1 qid:1\n", "line 3: query 1 was left before"),
        ("# nothing\n", "has no documents"),
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


@pytest.mark.parametrize("kind", LOSSES)
def test_losses_ignore_padding(kind: type) -> None:
    method, lists = kind(), example_lists()
    method.setup(None, lists)
    scores = torch.randn(4, 5, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    loss = method.objective(scores, lists)
    (gradient,) = torch.autograd.grad(loss, scores)
    assert gradient.isfinite().all()
    assert (gradient[~lists.counted] == 0).all()
    assert gradient[0].abs().sum() > 0
    other = torch.where(lists.counted, scores, 7.0)
    torch.testing.assert_close(method.objective(other, lists), loss)
    rows = [method.objective(scores[i : i + 1], lists.pick(slice(i, i + 1))) for i in range(4)]
    torch.testing.assert_close(sum(rows), loss)


@pytest.mark.parametrize("kind", LOSSES)
def test_losses_prefer_the_right_order(kind: type) -> None:
    method, lists = kind(), example_lists()
    method.setup(None, lists)
    right, wrong = (method.objective(scale * lists.solutions, lists) for scale in (3, -3))
    assert float(right) < float(wrong)


def test_plackett_luce_is_the_chance_of_the_order() -> None:
    """Of three items, the first place is drawn with odds exp(−score), then the second of the two that are left."""
    scores = torch.tensor([[0.3, -1.0, 2.0, 9.0]]).double()
    lists = Lists(scores[..., None], torch.tensor([[2.0, 1.0, 3.0, 0.0]]), torch.tensor([[True, True, True, False]]))
    odds = (-scores[0]).exp()
    chance = odds[1] / (odds[0] + odds[1] + odds[2]) * odds[0] / (odds[0] + odds[2])
    torch.testing.assert_close(PlackettLuce().objective(scores, lists), -chance.log())


def test_list_net_is_the_entropy_at_its_best() -> None:
    lists = example_lists()
    assert lists.relevance is not None
    wanted = lists.relevance.double().masked_fill(~lists.counted, -torch.inf).softmax(1)
    entropy = -(wanted * wanted.clamp(min=1e-300).log()).sum()
    torch.testing.assert_close(ListNet().objective(lists.relevance.double(), lists), entropy)


@pytest.mark.parametrize("k", [None, 2])
def test_lambda_rank_weighs_pairs_by_the_change_of_ndcg(k: int | None) -> None:
    """The weights are those found by exchanging two documents in the ranking."""
    scores, relevance = torch.tensor([0.3, -1.0, 2.0, 0.9]).double(), torch.tensor([2.0, 0.0, 1.0, 0.0]).double()
    lists = to_lists([(np.zeros((4, 1), np.float32), relevance.numpy())], 4)
    expected = torch.tensor(0.0).double()
    for i in range(4):
        for j in range(4):
            if relevance[i] > relevance[j]:
                swapped = scores.clone()
                swapped[i], swapped[j] = scores[j], scores[i]
                change = (ndcg(swapped, relevance, k) - ndcg(scores, relevance, k)).abs()
                expected += change * torch.log1p(torch.exp(scores[j] - scores[i]))
    torch.testing.assert_close(LambdaRank(k=k).objective(scores[None], lists), expected, atol=1e-6, rtol=1e-6)


def test_lambda_rank_weighs_pairs_by_the_change_of_spearman() -> None:
    scores, ranks = torch.tensor([0.3, -1.0, 2.0, 0.9]).double(), torch.tensor([2.0, 1.0, 3.0, 4.0]).double()
    expected = torch.tensor(0.0).double()
    for i in range(4):
        for j in range(4):
            if ranks[i] > ranks[j]:
                swapped = scores.clone()
                swapped[i], swapped[j] = scores[j], scores[i]
                change = (spearman(swapped, ranks, (4,)) - spearman(scores, ranks, (4,))).abs()
                expected += change * torch.log1p(torch.exp(scores[j] - scores[i]))
    lists = Lists(torch.zeros(1, 4, 1), ranks[None].float())
    torch.testing.assert_close(LambdaRank().objective(scores[None], lists), expected, atol=1e-6, rtol=1e-6)


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


def test_queries_without_relevant_documents_are_left_out_of_scores() -> None:
    lists = example_lists()
    found = Rankings(data="letor:none").score(lists.solutions, lists)
    assert found == {"ndcg10": 1, "ndcg5": 1, "map": 1, "mrr": 1}
