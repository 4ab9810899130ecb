"""The study of learning to rank: its rows, what chooses, and how it goes on."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from combdiff.metrics import ndcg
from experiments.harness.errors import InputError
from experiments.harness.task import DataSet
from experiments.harness.train import stable_seed
from experiments.ranking import boosting, letor_study
from experiments.ranking.letor import Letor
from experiments.ranking.letor_study import Fitted, Ranker, mean_scores, tune
from experiments.ranking.lists import Lists
from experiments.ranking.task import Rankings

SMALL = ["--resplits", "2", "--trials", "2", "--seeds", "2", "--epochs", "2"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """60 queries of 5 documents whose relevance, 0 to 2, is what feature 1 says."""
    rng = np.random.default_rng(0)
    file, relevance = tmp_path / "queries.txt", rng.integers(0, 3, (60, 5))
    lines = [
        f"{r} qid:{q} 1:{r + 0.9 * rng.random():.3f} 2:{rng.random():.3f}" for (q, _), r in np.ndenumerate(relevance)
    ]
    file.write_text("\n".join(lines) + "\n")
    return file


def load(data: Path) -> tuple[Letor, DataSet[Lists]]:
    source = Rankings(data=f"letor:{data}").source
    assert isinstance(source, Letor)
    return source, source.load(1)


def noisy(shift: float = 0.0) -> Ranker:
    """Scores that are the relevance and noise, whose size is drawn."""

    def fit(data: DataSet[Lists], settings: Mapping[str, Any], seed: int) -> Fitted:
        generator = torch.Generator().manual_seed(seed)
        parts = []
        for part in (data.validation, data.test):
            noise = torch.randn(part.counted.shape, generator=generator).double()
            parts.append(torch.arange(5.0).double().expand_as(noise) + settings["size"] * noise + shift)
        return parts[0], parts[1]

    return Ranker(lambda rng: {"size": float(rng.uniform(0, 9))}, fit)


def test_the_test_queries_choose_nothing(data: Path) -> None:
    """Another relevance of the test documents: the same settings and validation, and another test score."""
    source, lists = load(data)
    assert lists.test.relevance is not None
    other = replace(lists, test=replace(lists.test, relevance=2 - lists.test.relevance))
    a, b = (tune(noisy(), source, one, 6, 3) for one in (lists, other))
    assert (a["settings"], a["validation"]) == (b["settings"], b["validation"])
    assert a["ndcg10"] != b["ndcg10"]
    swapped = replace(lists, validation=lists.test, test=lists.validation)
    assert tune(noisy(), source, swapped, 6, 3)["validation"] != a["validation"]


def test_the_best_trial_is_trained_from_several_seeds(data: Path) -> None:
    source, lists = load(data)
    assert lists.validation.relevance is not None
    found = tune(noisy(), source, lists, 5, 3)
    sizes = [noisy().draw(np.random.default_rng(stable_seed("letor-study", t)))["size"] for t in range(5)]

    def validated(fitted: Fitted) -> float:
        return float(ndcg(fitted[0], lists.validation.relevance, 10, lists.validation.mask).nanmean())  # type: ignore[arg-type]

    best = max(sizes, key=lambda size: validated(noisy().fit(lists, {"size": size}, 0)))
    assert json.loads(found["settings"]) == {"size": best}
    several = [noisy().fit(lists, {"size": best}, seed) for seed in range(3)]
    assert found["validation"] == pytest.approx(validated(mean_scores(several, lists)))


def test_scores_of_any_scale_count_alike(data: Path) -> None:
    _, lists = load(data)
    small, large = noisy().fit(lists, {"size": 1.0}, 0), noisy().fit(lists, {"size": 1.0}, 1)
    plain = mean_scores([small, large], lists)
    scaled = mean_scores([small, (1000 * large[0], 1000 * large[1])], lists)
    for one, other in zip(plain, scaled, strict=True):
        torch.testing.assert_close(one, other)
    constant = (torch.zeros_like(small[0]), torch.zeros_like(small[1]))
    assert all(part.isfinite().all() for part in mean_scores([constant], lists))


def test_the_network_to_be_compared_is_chosen_on_each_resplit() -> None:
    rows = [
        {"split": split, "method": method, "validation": validation, "ndcg10": 0.5}
        for split, method, validation in [
            (1.0, "pairwise", 0.7),
            (1.0, "list-net", 0.6),
            (1.0, "lightgbm", 0.9),
            (2.0, "pairwise", 0.7),
            (2.0, "list-net", 0.8),
            (2.0, "lightgbm", 0.9),
        ]
    ]
    assert [row["chosen"] for row in letor_study.best_networks(rows)] == ["pairwise", "list-net"]


def test_a_study_goes_on(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    methods = ["list-net", "soft-ndcg/sigmoid", "neural-ndcg"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    asked = ["--data", str(data), *SMALL]
    assert letor_study.main([*asked, "--method", *methods, "--out", str(whole)]) == 0
    assert "list-net" in capsys.readouterr().out
    assert letor_study.main([*asked, "--method", methods[2], "--resplits", "1", "--out", str(broken)]) == 0
    kept = (broken / "rows.csv").read_text().splitlines()[1]
    assert letor_study.main([*asked, "--method", *methods, "--out", str(broken)]) == 0
    assert kept in (broken / "rows.csv").read_text().splitlines()

    def rows(folder: Path) -> set[tuple[str, ...]]:
        with (folder / "rows.csv").open() as stream:
            return {tuple(v for k, v in row.items() if k != "seconds") for row in csv.DictReader(stream)}

    assert rows(broken) == rows(whole)
    assert len(rows(whole)) == 2 * len(methods)
    capsys.readouterr()
    assert letor_study.main([*asked, "--trials", "3", "--out", str(whole)]) == 2
    assert "trials is 2 there and 3 here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--method", "network"], "unknown method 'network': choose from lightgbm, lightgbm-sample, pairwise"),
        (["--trials", "0"], "trials=0 must be at least 1"),
    ],
)
def test_bad_options(
    data: Path, tmp_path: Path, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert letor_study.main(["--data", str(data), "--out", str(tmp_path / "out"), *more]) == 2
    assert message in capsys.readouterr().err


def test_lightgbm_learns_the_same_lists(data: Path) -> None:
    pytest.importorskip("lightgbm", reason="LightGBM is in the extra 'benchmarks'")
    source, lists = load(data)
    for settings, trees in ((boosting.draw(np.random.default_rng(0)), None), (boosting.SAMPLE, 100)):
        validation, test = boosting.fit(lists, settings, 0, trees)
        assert validation.shape == lists.validation.counted.shape
        assert source.score(test, lists.test)["ndcg10"] > 0.95
        again = boosting.fit(lists, settings, 0, trees)
        assert torch.equal(test, again[1])
    halves = replace(lists, train=replace(lists.train, relevance=lists.train.solutions / 2))
    with pytest.raises(InputError, match="takes whole numbers as relevance"):
        boosting.fit(halves, boosting.SAMPLE, 0, 1)


def test_lightgbm_missing(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boosting, "lightgbm", None)
    with pytest.raises(InputError, match=r"pip install .*benchmarks"):
        boosting.fit(load(data)[1], boosting.SAMPLE, 0)
