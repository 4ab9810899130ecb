"""Label ranking: features of an example to an order of k labels, the same labels in every list, by a linear model.

The sets and the protocol are those of Cheng, Hühn & Hüllermeier (2009), "Decision tree and instance-based learning for
label ranking": split s of a run is fold s of ten.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from numpy import ndarray
from sklearn.datasets import load_wine
from sklearn.naive_bayes import GaussianNB
from torch import Tensor, nn

from combdiff.metrics import kendall, spearman
from experiments.harness.errors import InputError
from experiments.harness.table import Column
from experiments.harness.task import DataSet
from experiments.ranking.lists import Lists, Source

FOLDS = 10
Table = tuple[Float64[ndarray, "b p"], Int64[ndarray, "b k"]]  # features, and ranks from 1; 0 for an unknown one


class Labels(Source):
    """Orders of labels."""

    takes_path: ClassVar[bool | None] = None
    methods: ClassVar[tuple[str, ...]] = ("soft-rank", "soft-rank-kl", "perturbed", "pairwise", "regression")
    target: ClassVar[str] = "spearman"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("spearman", "Spearman", "{:.3f}"),
        Column("kendall", "Kendall τ", "{:.3f}"),
    )
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "demo": {"epochs": 30, "batch": 16, "learning_rate": 0.1},
        "full": {"epochs": 100, "batch": 16, "learning_rate": 0.1, "splits": tuple(range(FOLDS))},
    }

    def describe(self) -> str:
        return f"Label ranking, {self.path.stem or 'wine (scikit-learn)'}: the lists of one fold of {FOLDS}"

    def lists(self) -> Lists:
        """All of them, in the order of the file."""
        features, ranks = read_rankings(self.path) if self.path.name else wine()
        known = torch.from_numpy(ranks > 0)
        mask = None if bool(known.all()) else known
        return Lists(torch.from_numpy(features).float(), torch.from_numpy(ranks).float(), mask)

    def load(self, split: int) -> DataSet[Lists]:
        """Fold `split` is the test, the next one validation, the others training.

        Raises:
            InputError: for a file that cannot be used, or a split from 10 on.
        """
        if split >= FOLDS:
            raise InputError(f"split {split}: label ranking has {FOLDS} folds, 0 to {FOLDS - 1}")
        lists = self.lists()
        parts = folds(len(lists))
        test, validation = parts[split], parts[(split + 1) % FOLDS]
        train = torch.cat([part for part in parts if part is not test and part is not validation])
        alike = replace(lists, inputs=standardise(lists.inputs, lists.inputs[train]))
        return DataSet(alike.pick(train), alike.pick(validation), alike.pick(test))

    def network(self, examples: Lists) -> nn.Module:
        return nn.Linear(examples.inputs.shape[1], examples.solutions.shape[1])

    def score(self, ranks: Tensor, examples: Lists) -> dict[str, float]:
        """Means over the lists, of the labels whose rank is known."""
        count = examples.counted.sum(1)
        found: dict[str, list[Tensor]] = {"spearman": [], "kendall": []}
        for n in sorted(set(count.tolist())):
            alike = count == n
            a, b = (part[alike][examples.counted[alike]].reshape(-1, n) for part in (ranks, examples.solutions))
            found["spearman"].append(spearman(a, b, (n,)))
            found["kendall"].append(kendall(a, b, (n,)))
        return {name: float(torch.cat(values).mean()) for name, values in found.items()}

    def baselines(self, examples: Lists) -> dict[str, Tensor]:
        """The order of the mean ranks of the test lists (Borda), for all."""
        known = examples.counted
        mean = (examples.solutions.double() * known).sum(0) / known.sum(0).clamp(min=1)
        return {"one order for all": self.options.solve(mean.expand(len(examples), -1), examples)}


def standardise(features: Float[Tensor, "b p"], seen: Float[Tensor, "some p"]) -> Float[Tensor, "b p"]:
    """Features less the mean of those that were seen, over their standard deviation unless they are constant."""
    spread = seen.std(0)
    return (features - seen.mean(0)) / spread.where(spread > 0, 1.0)


def wine() -> Table:
    """The wines of scikit-learn; their three cultivars in the order of a naive Bayes classifier's probabilities.

    This is how the field makes label rankings of classes (Cheng et al. 2009, section 5.1): one classifier, trained on
    all examples, those of the later tests included, since it only makes the labels.

    >>> features, ranks = wine()
    >>> features.shape, ranks[0].tolist()
    ((178, 13), [1, 2, 3])
    """
    features, classes = load_wine(return_X_y=True)
    likely = GaussianNB().fit(features, classes).predict_joint_log_proba(features)
    return features, (-likely).argsort(axis=1, kind="stable").argsort(axis=1) + 1


def folds(count: int, seed: int = 0) -> list[Int64[Tensor, " rows"]]:
    """The rows of each of ten folds, always the same for a count and a seed.

    Raises:
        InputError: for fewer lists than folds.

    >>> [len(rows) for rows in folds(25)]
    [3, 3, 3, 3, 3, 2, 2, 2, 2, 2]
    """
    if count < FOLDS:
        raise InputError(f"{FOLDS} folds need at least {FOLDS} lists, and there are {count}")
    return list(torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tensor_split(FOLDS))


def read_rankings(path: Path) -> Table:
    """A table of features and ranks: `n,p,k` in the first line, then n lines of p numbers and k ranks, 1 for the best.

    A rank that is not known is empty, or 0. Those that are known are different whole numbers from 1 to k; only their
    order counts: where some are missing the others are numbered anew, from 1.

    Raises:
        InputError: for a file that is missing or holds anything else, with the line.
    """
    if path.is_dir():
        names = ", ".join(sorted(file.name for file in path.glob("*.csv"))) or "but it has none"
        raise InputError(f"{path} is a folder: name one csv file of it, {names}")
    try:
        lines = path.read_text(encoding="utf-8").rstrip().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from error
    try:
        count, p, k = (int(field) for field in lines[0].split(","))
    except ValueError as error:
        raise InputError(f"{path}, line 1: {lines[0][:60]!r} must be n,p,k: lists, features, labels") from error
    if p < 1 or k < 2 or len(lines) - 1 != count:
        raise InputError(
            f"{path}, line 1: n,p,k = {count},{p},{k}, with p ≥ 1 and k ≥ 2, and {len(lines) - 1} lines follow; is the "
            "copy complete?"
        )
    features, ranks = np.empty((count, p)), np.empty((count, k), dtype=np.int64)
    for row, line in enumerate(lines[1:]):
        try:
            features[row], ranks[row] = _read_line(line.split(","), p, k)
        except ValueError as error:
            raise InputError(f"{path}, line {row + 2}: {error}") from error
    order = np.where(ranks > 0, ranks, k + 1).argsort(axis=1, kind="stable").argsort(axis=1) + 1
    return features, order * (ranks > 0)


def _read_line(fields: list[str], p: int, k: int) -> tuple[Float64[ndarray, " p"], list[int]]:
    if len(fields) != p + k:
        raise ValueError(f"{len(fields)} fields, not {p} features and {k} ranks")
    features, ranks = np.array(fields[:p], dtype=float), [int(field.strip() or 0) for field in fields[p:]]
    if not np.isfinite(features).all():
        raise ValueError("a feature is not finite")
    known = [rank for rank in ranks if rank]
    if len(known) < 2 or len(set(known)) < len(known) or min(known) < 1 or max(known) > k:
        raise ValueError(
            f"ranks {','.join(fields[p:])} must be two or more different numbers from 1 to {k}, and 0 or nothing for "
            "unknown ones"
        )
    return features, ranks
