"""LightGBM's lambdarank (Ke et al. 2017; Burges 2010), on the lists and features that the networks see.

It runs on one thread, as they do: in a process with torch, two threads of its OpenMP beside other work were 14 times as
slow as one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from experiments.harness.errors import InputError
from experiments.harness.task import DataSet
from experiments.ranking.lists import Lists

try:
    import lightgbm
except ImportError:  # it is in the extra "benchmarks" only
    lightgbm = None

FIXED = {"objective": "lambdarank", "num_threads": 1, "deterministic": True, "force_col_wise": True, "verbose": -1}
ROUNDS, PATIENCE = 500, 50
"""trees at most, and after how many without a better NDCG@10 of the validation lists it stops"""
SAMPLE = {
    "learning_rate": 0.1,
    "num_leaves": 31,
    "max_bin": 255,
    "feature_fraction": 1.0,
    "bagging_freq": 1,
    "bagging_fraction": 0.9,
    "min_data_in_leaf": 50,
    "min_sum_hessian_in_leaf": 5.0,
}
"""the parameters of `examples/lambdarank/train.conf` of LightGBM, with its 100 trees"""


def draw(rng: np.random.Generator) -> dict[str, Any]:
    """Parameters of one trial."""
    return {
        "learning_rate": float(10 ** rng.uniform(-2, -0.7)),
        "num_leaves": round(float(2 ** rng.uniform(2, 6))),
        "min_data_in_leaf": round(float(10 ** rng.uniform(0.7, 2))),
        "min_sum_hessian_in_leaf": float(10 ** rng.uniform(-3, 0.7)),
        "feature_fraction": float(rng.uniform(0.2, 1)),
        "bagging_freq": 1,
        "bagging_fraction": float(rng.uniform(0.5, 1)),
        "lambda_l2": float(10 ** rng.uniform(-3, 1)),
        "lambdarank_truncation_level": int(rng.choice([10, 15, 30])),
    }


def fit(
    data: DataSet[Lists], parameters: Mapping[str, Any], seed: int, trees: int | None = None
) -> tuple[Float64[Tensor, "lists n"], Float64[Tensor, "lists n"]]:
    """The scores of the validation and of the test lists, 0 for padding.

    Args:
        parameters: of LightGBM, beside `FIXED`.
        seed: of its bagging.
        trees: how many; None for as many as are best on the validation lists (at most `ROUNDS`).

    Raises:
        InputError: where LightGBM is not installed, or for a relevance that is not whole, which it does not take.
    """
    if lightgbm is None:
        raise InputError("LightGBM is not installed: pip install -c constraints.txt -e '.[benchmarks]'")
    assert data.train.relevance is not None
    if not torch.equal(data.train.relevance, data.train.relevance.round()):
        raise InputError("LightGBM's lambdarank takes whole numbers as relevance, and these data have others")
    train = _set(data.train)
    stop = [] if trees else [lightgbm.early_stopping(PATIENCE, verbose=False)]
    booster = lightgbm.train(
        {**FIXED, "metric": "ndcg", "eval_at": [10], "seed": seed, **parameters},
        train,
        trees or ROUNDS,
        valid_sets=[_set(data.validation, train)] if stop else None,
        callbacks=stop,
    )

    def predict(lists: Lists) -> Tensor:
        scores = torch.zeros(lists.counted.shape, dtype=torch.float64)
        scores[lists.counted] = torch.from_numpy(booster.predict(lists.inputs[lists.counted].numpy()))
        return scores

    return predict(data.validation), predict(data.test)


def _set(lists: Lists, reference: Any = None) -> Any:
    assert lists.relevance is not None
    counted = lists.counted
    x, relevance, sizes = lists.inputs[counted].numpy(), lists.relevance[counted].numpy(), counted.sum(1).numpy()
    return lightgbm.Dataset(x, relevance, group=sizes, reference=reference)
