"""Ranking losses: padding, the right order, closed forms, and formulae of their papers, list by list."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import torch
from scipy.stats import cauchy
from torch import Tensor

from combdiff.metrics import ndcg, spearman
from experiments.harness.method import Method
from experiments.methods.adjacent_cauchy import AdjacentCauchy
from experiments.methods.lambda_rank import LambdaRank
from experiments.methods.list_net import ListNet
from experiments.methods.neural_ndcg import NeuralNdcg
from experiments.methods.pairwise import Pairwise
from experiments.methods.pairwise_cauchy import PairwiseCauchy
from experiments.methods.plackett_luce import PlackettLuce
from experiments.methods.soft_ndcg import SoftNdcg
from experiments.ranking.letor import to_lists
from experiments.ranking.lists import Lists
from experiments.ranking.task import Rankings

OPERATORS = get_args(get_type_hints(SoftNdcg)["operator"])
LOSSES: list[Callable[..., Any]] = [ListNet, PlackettLuce, LambdaRank, Pairwise, AdjacentCauchy, SoftNdcg, NeuralNdcg]


def example_lists() -> Lists:
    judged = [np.array([2.0, 0.0, 1.0]), np.array([0.0, 1.0, 3.0, 2.0]), np.array([0.0, 0.0]), np.array([1.0])]
    return to_lists([(np.zeros((len(r), 1), np.float32), r) for r in judged], 5)


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


def random_scores(lists: Lists) -> Tensor:
    return torch.randn(lists.counted.shape, generator=torch.Generator().manual_seed(1)).double()


def objective(method: Method, scores: Tensor, lists: Lists) -> float:
    method.setup(None, lists)  # type: ignore[arg-type]
    return float(method.objective(scores, lists))


def of_each_list(scores: Tensor, lists: Lists) -> list[tuple[np.ndarray, np.ndarray]]:
    """Scores and relevance of each list, without padding."""
    assert lists.relevance is not None
    return [
        (s[m].numpy(), r[m].double().numpy()) for s, r, m in zip(scores, lists.relevance, lists.counted, strict=True)
    ]


@pytest.mark.parametrize("epsilon", [1.0, 0.4])
def test_pairwise_is_the_sum_over_pairs(epsilon: float) -> None:
    lists = example_lists()
    scores, expected = random_scores(lists), 0.0
    for s, r in of_each_list(scores, lists):
        for i, j in zip(*np.nonzero(r[:, None] > r[None, :]), strict=True):
            expected += np.log1p(np.exp((s[j] - s[i]) / epsilon))
    assert objective(Pairwise(epsilon=epsilon), scores, lists) == pytest.approx(expected)


@pytest.mark.parametrize("kind", [PairwiseCauchy, AdjacentCauchy])
def test_pairs_by_cauchy_comparators(kind: type[Pairwise]) -> None:
    lists = example_lists()
    scores = random_scores(lists)
    total = sum(
        -np.log(cauchy.cdf(np.pi / 4 * (b - a) / 2.0))
        for row, ranks, here in zip(scores.tolist(), lists.solutions.tolist(), lists.counted.tolist(), strict=True)
        for a, i, ours in zip(row, ranks, here, strict=True)
        for b, j, theirs in zip(row, ranks, here, strict=True)
        if ours and theirs and j > i and (kind is PairwiseCauchy or not any(i < rank < j for rank in ranks))
    )
    assert objective(kind(epsilon=2.0), scores, lists) == pytest.approx(total, rel=1e-5)


def test_list_net_is_the_cross_entropy_of_top_one_chances() -> None:
    lists = example_lists()
    scores, expected = random_scores(lists), 0.0
    for s, r in of_each_list(scores, lists):
        wanted, found = (np.exp(x) / np.exp(x).sum() for x in (r, s))
        expected -= (wanted * np.log(found)).sum()
    assert objective(ListNet(), scores, lists) == pytest.approx(expected)


@pytest.mark.parametrize("k", [None, 2])
@pytest.mark.parametrize("epsilon", [1.0, 0.4])
def test_lambda_rank_in_padded_lists(k: int | None, epsilon: float) -> None:
    """|ΔNDCG| by exchanging the documents, with the temperature in the loss of the pair alone."""
    lists = example_lists()
    scores, expected = random_scores(lists), 0.0
    for s, r in of_each_list(scores, lists):
        for i, j in zip(*np.nonzero(r[:, None] > r[None, :]), strict=True):
            swapped = s.copy()
            swapped[[i, j]] = s[[j, i]]
            before, after = (float(ndcg(torch.from_numpy(x), torch.from_numpy(r), k)) for x in (s, swapped))
            expected += abs(after - before) * np.log1p(np.exp((s[j] - s[i]) / epsilon))
    assert objective(LambdaRank(epsilon=epsilon, k=k), scores, lists) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("k", [None, 2])
@pytest.mark.parametrize("make", [*(partial(SoftNdcg, operator=name) for name in OPERATORS), NeuralNdcg])
def test_ndcg_losses_count_one_minus_ndcg_where_scores_are_far_apart(
    make: Callable[..., Method], k: int | None
) -> None:
    """Summed over the lists that have a relevant document; a temperature is in units of the scores."""
    lists = example_lists()
    assert lists.relevance is not None
    scores = random_scores(lists).argsort(1).argsort(1).double() * 2
    expected = float((1 - ndcg(scores, lists.relevance, k, lists.counted)).nansum())
    assert expected > 0.1
    assert objective(make(epsilon=0.01, k=k), scores, lists) == pytest.approx(expected, abs=1e-5)
    soft = random_scores(lists)
    one, other = objective(make(epsilon=0.7, k=k), soft, lists), objective(make(epsilon=1.4, k=k), 2 * soft, lists)
    assert one == pytest.approx(other, rel=1e-5)
    assert one != pytest.approx(objective(make(epsilon=1.4, k=k), soft, lists), rel=1e-3)


@pytest.mark.parametrize("k", [None, 2])
def test_neural_ndcg_by_the_formulae_of_its_paper(k: int | None) -> None:
    """Row i of NeuralSort's matrix is softmax(((n + 1 − 2i) s − Σ_j |s − s_j|) / ε); Sinkhorn scales it."""
    lists = example_lists()
    scores, expected = random_scores(lists), 0.0
    for s, r in of_each_list(scores, lists):
        n, gains = len(s), 2**r - 1
        if not gains.any():
            continue
        matrix = (n + 1 - 2 * np.arange(1, n + 1))[:, None] * s - np.abs(s[:, None] - s).sum(1)
        matrix = np.exp((matrix - matrix.max(1, keepdims=True)) / 0.6)
        matrix /= matrix.sum(1, keepdims=True)
        for _ in range(500):
            matrix = matrix / matrix.sum(0)
            matrix /= matrix.sum(1, keepdims=True)
        discount = (np.arange(n) < (k or n)) / np.log2(np.arange(n) + 2)
        expected += 1 - (matrix * gains).sum(1) @ discount / (np.sort(gains)[::-1] @ discount)
    assert objective(NeuralNdcg(epsilon=0.6, k=k), scores, lists) == pytest.approx(expected, abs=1e-5)


def test_stochastic_neural_ndcg_adds_noise_of_its_scale() -> None:
    lists = example_lists()
    scores = random_scores(lists)
    plain = objective(NeuralNdcg(), scores, lists)
    torch.manual_seed(0)  # of the noise
    assert objective(NeuralNdcg(copies=4, scale=1e-9), scores, lists) == pytest.approx(plain)
    assert objective(NeuralNdcg(copies=4, scale=2.0), scores, lists) != pytest.approx(plain, rel=1e-3)


def test_queries_without_relevant_documents_are_left_out_of_scores() -> None:
    lists = example_lists()
    found = Rankings(data="letor:none").score(lists.solutions, lists)
    assert found == {"ndcg10": 1, "ndcg5": 1, "map": 1, "mrr": 1}
