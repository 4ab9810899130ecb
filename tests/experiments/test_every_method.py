"""Every method on every task: it trains, or it is refused for what the examples lack."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from experiments.harness.command import configure
from experiments.harness.registry import method_names
from experiments.harness.run import Job
from experiments.harness.train import Training

COUNTS: dict[str, dict[str, Any]] = {
    "shortest-path": {"size": 3, "maps": 8, "validation_maps": 4, "test_maps": 1},
    "ranking": {"length": 3, "lists": 8, "test_lists": 4},
    "sat": {"data": "weights", "examples": 8, "test_examples": 4},
    "top-k": {},
}
LAYERS = {
    *("perturbed", "perturbed-layer", "frank-wolfe", "identity", "interpolation", "lagrangian-proximal"),
    *("straight-through", "implicit-mle", "adaptive-implicit-mle", "score-function"),
}
OF_COSTS = {
    *("spo-plus", "perturbation-gradient", "contrastive-map", "rank-list", "rank-pair", "rank-point", "two-stage"),
}
OF_BINARY = {"structured-hinge", "entry-cross-entropy"}
TRAINED = {
    "shortest-path": {*LAYERS, *OF_COSTS, *OF_BINARY, "noise-contrastive", "mask-network"},
    "ranking": {
        *LAYERS,
        *("noise-contrastive", "digits", "lambda-rank", "pairwise", "pairwise-cauchy", "adjacent-cauchy"),
        *("plackett-luce", "regression", "soft-rank", "soft-rank-kl", "soft-rank-fenchel-young", "lapsum"),
        *("lapsum-permutation", "neuralsort", "softsort", "sinkhorn", "network", "bitonic", "bitonic-cauchy"),
    },
    "sat": {*LAYERS, *OF_COSTS, *OF_BINARY, "noise-contrastive"},
    "top-k": {
        *("cross-entropy", "gumbel-top-k", "top-k-kl", "top-k-l2", "top-k-lapsum"),
        *("top-k-neuralsort", "top-k-softsort", "top-k-network"),
    },
}


@pytest.mark.parametrize("task", COUNTS)
def test_a_step_of_every_method(task: str) -> None:
    run = configure(task, {**COUNTS[task], "methods": list(method_names())})
    data = run.load(0)
    jobs = run.jobs(0)
    assert {job.method for job in jobs} == TRAINED[task]
    for job in jobs:
        training = Training(run, Job(0, job.method, ""), data)
        batch = data.train.pick(slice(8))
        loss = training.method.objective(training.network(batch.inputs), batch)
        torch.autograd.backward(loss)
        slopes = [weights.grad for weights in training.network.parameters() if weights.grad is not None]
        assert slopes, job
        assert all(bool(slope.isfinite().all()) for slope in slopes), job
