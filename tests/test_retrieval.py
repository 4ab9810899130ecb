"""The metrics of scored lists against scikit-learn where they agree, and against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import label_ranking_average_precision_score, ndcg_score

from combdiff.metrics import average_precision, ndcg, reciprocal_rank


@pytest.fixture
def lists() -> tuple[torch.Tensor, torch.Tensor]:
    """Scores with and without ties, and a relevance of 0 to 4, of which one at least is not 0."""
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.standard_normal((20, 12)), rng.integers(0, 3, (20, 12))])
    relevance = rng.integers(0, 5, (40, 12))
    relevance[:, 0] = 1
    return torch.from_numpy(scores), torch.from_numpy(relevance)


@pytest.mark.parametrize("k", [None, 1, 5, 12, 99])
def test_ndcg_is_that_of_scikit_learn(lists: tuple[torch.Tensor, torch.Tensor], k: int | None) -> None:
    scores, relevance = lists
    for gain, gains in (("linear", relevance.numpy()), ("exponential", 2 ** relevance.numpy() - 1)):
        expected = [ndcg_score([g], [s], k=k) for g, s in zip(gains, scores.numpy(), strict=True)]
        found = ndcg(scores, relevance, k, gain=gain)  # type: ignore[arg-type]
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


def test_average_precision_is_that_of_scikit_learn(lists: tuple[torch.Tensor, torch.Tensor]) -> None:
    scores, relevance = lists
    expected = [
        label_ranking_average_precision_score([r], [s])
        for r, s in zip((relevance > 0).int().numpy(), scores.numpy(), strict=True)
    ]
    np.testing.assert_allclose(average_precision(scores, relevance).numpy(), expected, rtol=1e-12)


def test_reciprocal_rank_takes_the_last_place_of_a_tie() -> None:
    scores = torch.tensor([[3.0, 2.0, 1.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    relevance = torch.tensor([[0, 1, 1], [1, 0, 0], [0, 2, 0]])
    assert reciprocal_rank(scores, relevance).tolist() == pytest.approx([1 / 2, 1 / 2, 1 / 3])


@pytest.mark.parametrize("metric", [ndcg, average_precision, reciprocal_rank])
def test_padding_changes_nothing(metric: object, lists: tuple[torch.Tensor, torch.Tensor]) -> None:
    scores, relevance = lists
    mask = torch.arange(20).expand(40, 20) < 12
    rng = torch.Generator().manual_seed(0)
    wide = torch.randn(40, 20, generator=rng).double() * 1e3
    wide[:, 12:14] = torch.nan
    grades = torch.randint(0, 5, (40, 20), generator=rng)
    wide[:, :12], grades[:, :12] = scores, relevance
    torch.testing.assert_close(metric(wide, grades, mask=mask), metric(scores, relevance))  # type: ignore[operator]
    one = metric(wide.reshape(4, 10, 20), grades.reshape(4, 10, 20), mask=mask.reshape(4, 10, 20))  # type: ignore[operator]
    torch.testing.assert_close(one.flatten(), metric(scores, relevance))  # type: ignore[operator]


@pytest.mark.parametrize("metric", [ndcg, average_precision, reciprocal_rank])
def test_a_list_without_a_relevant_document_is_nan(metric: object) -> None:
    scores = torch.tensor([[1.0, 2.0], [1.0, 2.0]], requires_grad=True)
    found = metric(scores, torch.tensor([[0, 0], [0, 1]]))  # type: ignore[operator]
    assert found.isnan().tolist() == [True, False]
    assert found[1] == 1
    assert not found.requires_grad


@pytest.mark.parametrize(
    ("scores", "relevance", "options", "message"),
    [
        ([1.0, 2.0], [1.0], {}, r"scores have shape \(2,\), relevance \(1,\)"),
        ([1.0, 2.0], [1.0, -1.0], {}, "at least 0"),
        ([1.0, 2.0], [1.0, float("nan")], {}, "at least 0"),
        ([1.0, float("nan")], [1.0, 1.0], {}, "scores must be finite"),
        ([1.0, 2.0], [1.0, 1.0], {"k": 0}, "k=0 must be at least 1"),
        ([1.0, 2.0], [1.0, 1.0], {"gain": "cubic"}, "gain='cubic'"),
    ],
)
def test_bad_arguments(scores: list[float], relevance: list[float], options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ndcg(torch.tensor(scores), torch.tensor(relevance), **options)  # type: ignore[arg-type]
