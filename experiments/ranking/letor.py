"""Learning to rank: queries with judged documents, in LETOR's and MSLR's layout or in LightGBM's.

`letor:FOLDER` has a file for training (`train.txt` or `*.train`), one for tests (`test.txt`, `*.test`), and perhaps one
for validation (`vali.txt`, `*.vali`); without it, a fifth of the training queries are for validation. `letor:FILE` is
one file, whose queries are drawn into three parts. Split 0 keeps the parts of the files; the other splits draw all
queries anew into parts of the same sizes.

The ranks that are learned from ascend with the relevance, and tied documents share their mean rank. Gains are
2^relevance − 1, relevant is what has a relevance above 0, and scores are means over the queries that have a relevant
document. Documents that the scores tie are in any order with equal chance for NDCG, and at the last of their places for
MAP and MRR (`combdiff.metrics`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float32, Int64
from numpy import ndarray
from torch import Tensor, nn

from combdiff.metrics import average_precision, ndcg, reciprocal_rank
from experiments.harness.errors import InputError
from experiments.harness.table import Column, Row
from experiments.harness.task import DataSet, Learned
from experiments.ranking.lists import Lists, Source
from experiments.ranking.svmlight import Queries, read_queries
from experiments.ranking.transforms import TRANSFORMS

NAMES = {
    "train": ("train.txt", "*.train"),
    "validation": ("vali.txt", "valid.txt", "*.vali", "*.valid"),
    "test": ("test.txt", "*.test"),
}
SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}  # of one file


class Letor(Source):
    """Queries with documents, from svmlight files."""

    takes_path: ClassVar[bool | None] = True
    methods: ClassVar[tuple[str, ...]] = (
        "pairwise",
        "list-net",
        "lambda-rank",
        "soft-ndcg",
        "neural-ndcg",
        "perturbed",
    )
    target: ClassVar[str] = "ndcg10"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("ndcg10", "NDCG@10", "{:.3f}"),
        Column("ndcg5", "NDCG@5", "{:.3f}"),
        Column("map", "MAP", "{:.3f}"),
        Column("mrr", "MRR", "{:.3f}"),
    )
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "demo": {"epochs": 10, "batch": 8},
        "full": {"epochs": 30, "batch": 8},
    }

    def describe(self) -> str:
        return f"Documents of the queries of {self.path.name}: test queries"

    def load(self, split: int) -> DataSet[Lists]:
        files = find_files(self.path)
        queries = {name: read_queries(file) for name, file in files.items()}
        features = 1 + max(int(part.entries[1].max(initial=0)) for part in queries.values())
        lists = [one for part in queries.values() for one in _documents(part, features)]
        numbers = divide({name: len(part.sizes) for name, part in queries.items()}, split)
        for name, part in numbers.items():
            if not any(lists[i][1].any() for i in part):
                raise InputError(f"{self.path}: no query for {name} (of {len(part)}) has a relevant document")
        fit = TRANSFORMS[self.options.features]
        transform = fit(np.concatenate([lists[i][0] for i in numbers["train"]]))
        most = max(len(relevance) for _, relevance in lists)
        return DataSet(
            *(
                to_lists([(transform(lists[i][0]), lists[i][1]) for i in numbers[name]], most)
                for name in ("train", "validation", "test")
            )
        )

    def network(self, examples: Lists) -> nn.Module:
        """A multilayer perceptron that scores each document by itself."""
        return nn.Sequential(
            nn.Dropout(self.options.dropout),
            nn.Linear(examples.inputs.shape[-1], self.options.width),
            nn.ReLU(inplace=True),
            nn.Dropout(self.options.dropout),
            nn.Linear(self.options.width, 1),
            nn.Flatten(1),
        )

    def score(self, ranks: Tensor, examples: Lists) -> dict[str, float]:
        assert examples.relevance is not None
        asked = ranks, examples.relevance
        found = {
            "ndcg10": ndcg(*asked, 10, examples.mask),
            "ndcg5": ndcg(*asked, 5, examples.mask),
            "map": average_precision(*asked, examples.mask),
            "mrr": reciprocal_rank(*asked, examples.mask),
        }
        return {name: float(values.nanmean()) for name, values in found.items()}

    def baselines(self, examples: Lists) -> dict[str, Tensor]:
        return {"random": torch.rand(examples.solutions.shape, generator=torch.Generator().manual_seed(0))}

    def remarks(self, examples: Lists, metrics: Sequence[Row], learned: Sequence[Learned]) -> list[str]:
        assert examples.relevance is not None
        empty = int((examples.relevance.amax(1) <= 0).sum())
        left_out = f"{empty} of {len(examples)} test queries have no relevant document: they are left out of the scores"
        return [left_out] if empty else []


def find_files(path: Path) -> dict[str, Path]:
    """The files of the parts, by `NAMES`; of one file, that alone, as "all".

    Raises:
        InputError: where there are none for training or tests, or several of one name.
    """
    if not path.is_dir():
        if not path.exists():
            raise InputError(f"{path} does not exist: give a folder of svmlight files, or one file")
        return {"all": path}
    files = {}
    for name, patterns in NAMES.items():
        found = sorted({file for pattern in patterns for file in path.glob(pattern)})
        if len(found) > 1:
            raise InputError(f"{path} has {len(found)} files for {name}: {', '.join(file.name for file in found)}")
        if found:
            files[name] = found[0]
        elif name != "validation":
            raise InputError(f"{path} has no file for {name}: {' or '.join(patterns)} is expected")
    return files


def divide(counts: dict[str, int], split: int) -> dict[str, Int64[ndarray, " queries"]]:
    """Which of the queries of the files, one file after the other, are in each part. See the module.

    Raises:
        InputError: for so few queries that a part has none.

    >>> {name: len(part) for name, part in divide({"train": 10, "test": 4}, 0).items()}
    {'train': 8, 'validation': 2, 'test': 4}
    """
    numbers = np.arange(sum(counts.values()))
    rng = np.random.default_rng(split)
    if "all" in counts:
        sizes = {name: round(share * len(numbers)) for name, share in SHARES.items()}
        rng.shuffle(numbers)
    else:
        sizes = {"validation": counts["train"] // 5, **counts}
        if "validation" not in counts:
            sizes["train"] -= sizes["validation"]
            rng.shuffle(numbers[: counts["train"]])
        if split:
            rng.shuffle(numbers)
    parts, first = {}, 0
    for name in ("train", "validation", "test"):
        parts[name] = numbers[first : first + sizes[name]]
        first += sizes[name]
        if not len(parts[name]):
            raise InputError(f"{len(numbers)} queries are too few: none is left for {name}")
    return parts


def to_lists(queries: Sequence[tuple[ndarray, ndarray]], n: int) -> Lists:
    """Padded lists of features and relevance."""
    inputs = np.zeros((len(queries), n, queries[0][0].shape[1]), dtype=np.float32)
    relevance, ranks, mask = np.zeros(inputs.shape[:2]), np.zeros(inputs.shape[:2]), np.zeros(inputs.shape[:2], bool)
    for row, (x, judged) in enumerate(queries):
        inputs[row, : len(x)], relevance[row, : len(x)], mask[row, : len(x)] = x, judged, True
        below, tied = judged[None, :] < judged[:, None], judged[None, :] == judged[:, None]
        ranks[row, : len(x)] = below.sum(1) + (tied.sum(1) + 1) / 2
    return Lists(
        torch.from_numpy(inputs),
        torch.from_numpy(ranks).float(),
        torch.from_numpy(mask),
        relevance=torch.from_numpy(relevance).float(),
    )


def _documents(queries: Queries, features: int) -> list[tuple[Float32[ndarray, "n d"], Float32[ndarray, " n"]]]:
    """Features and relevance of each query."""
    dense = np.zeros((len(queries.relevance), features), dtype=np.float32)
    dense[queries.entries[:2]] = queries.entries[2]
    borders = queries.sizes.cumsum()[:-1]
    return list(zip(np.split(dense, borders), np.split(queries.relevance, borders), strict=True))
