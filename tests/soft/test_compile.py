"""`torch.compile` of the soft operators, in a process of its own: the shape checks of the tests are not compiled."""

import os
import shutil
import subprocess
import sys

import pytest

COMPILE = """
import itertools
import sys

import torch
from combdiff import PairwiseLoss, SoftMAPLoss, SoftNDCGLoss, SoftRankFenchelYoungLoss, SoftRecallLoss
from combdiff import soft_argquantile, soft_argsort, soft_permutation, soft_rank, soft_sort
from combdiff import soft_topk_log_mask, soft_topk_mask
from combdiff.soft import SoftRank, straight_through
from combdiff.soft.relaxations import sinkhorn
from combdiff.temperature import Adaptive, Auto

sinkhorn.STEPS = 5  # of 40: a program goes through all, where a call of these values stops after three
METHODS = ("lapsum", "neuralsort", "sinkhorn") if sys.argv[1] == "aot_eager" else ("lapsum",)
KINDS = [*itertools.product((soft_rank, soft_sort), ("l2", "kl"))]
if sys.argv[1] == "inductor":  # the kinds are a number that one node of the program is told
    KINDS = ((soft_rank, "l2"), (soft_sort, "kl"))

generator = torch.Generator().manual_seed(5)
x = torch.randn(2, 3, dtype=torch.float64, generator=generator).requires_grad_()  # a network has a layer a value
eps = torch.tensor([[0.5], [0.9]], dtype=torch.float64, requires_grad=True)


def more(v, e):  # all in one program: it is the tracing that takes the time
    found = [soft_permutation(v, e, method=method) for method in ("network_cauchy", "bitonic_optimal")]
    found += [soft_rank(v, "l2", e, method="sigmoid"), soft_rank(v, "l2", e[:1], dim=None)]
    found += [soft_argquantile(v, 0.3, e), soft_topk_log_mask(v, 2, e)]
    found += [soft_topk_mask(v, k, "l2", e, method="lapsum") for k in (1.5, 2 + 0.5 * e.detach())]
    found += [straight_through(soft_rank)(v, "l2", e), straight_through(soft_argsort)(v, e)]
    relevance = torch.arange(3.0, dtype=v.dtype).expand(v.shape)
    losses = [SoftMAPLoss(regularization_strength=e, method="sigmoid"), SoftRecallLoss(2, regularization_strength=e)]
    losses += [SoftRankFenchelYoungLoss(reg, e) for reg in ("l2", "kl")]
    losses += [SoftNDCGLoss(regularization_strength=e, method="sigmoid")]
    losses += [PairwiseLoss(e), PairwiseLoss(e, method="cauchy", pairs="adjacent")]
    return found + [loss(v, relevance) for loss in losses]


def model(v, e):
    others = more(v, e.abs()) if sys.argv[1] == "aot_eager" else []
    masks = [soft_topk_mask(v, 2, "l2", e, method=method) for method in METHODS]
    return masks, others, [operator(2.0 * v, reg, 0.6).sin() + operator(v, reg, e.abs()) for operator, reg in KINDS]


def gradients(values):
    masks, others, projections = values
    totals = [y.square().sum() for y in [*masks, *projections]] + [sum(y.square().sum() for y in others)]
    return [torch.autograd.grad(y, (x, eps), retain_graph=True) for y in totals if torch.is_tensor(y)]


compiled = torch.compile(model, fullgraph=True, backend=sys.argv[1])
found = compiled(x, eps)
torch.testing.assert_close(found, model(x, eps))
torch.testing.assert_close(gradients(found), gradients(model(x, eps)))
for mask in compiled(x, torch.where(eps > 0.6, -eps, eps))[0]:
    assert mask.isnan().all(-1).tolist() == [False, True]

if sys.argv[1] == "aot_eager":  # what is measured breaks the graph, and is measured
    for schedule in (Adaptive(0.1), Auto()):
        module = SoftRank(regularization_strength=schedule)
        torch.compile(module, backend=sys.argv[1])(x)
        assert (schedule.measured if isinstance(schedule, Adaptive) else float(schedule)) > 0.0
"""


EXPORT = """
import torch
from combdiff import soft_argmax, soft_median, soft_rank, soft_sort, soft_topk, soft_topk_mask
from combdiff.soft.relaxations import sinkhorn

sinkhorn.STEPS = 2  # of 40 that are all alike: four operators have them in their programs
METHODS = ("pav", "lapsum", "softsort", "neuralsort", "sinkhorn", "network")
OF_RANKS = ("network_cauchy", "network_optimal", "sigmoid")  # the programs of all operators take too long
OPERATORS = {
    "rank": soft_rank,
    "sort": soft_sort,
    "topk": lambda x, *more, **words: soft_topk(x, 2, *more, **words).values,
    "mask": lambda x, *more, **words: soft_topk_mask(x, 2, *more, **words),
    "median": soft_median,
    "argmax": soft_argmax,
}


def used(method):
    if method in OF_RANKS:
        return {"rank": soft_rank}
    whole = method in ("pav", "lapsum", "softsort")  # else without what calls another: median `sort`, argmax `mask`
    return {name: of for name, of in OPERATORS.items() if whole or name not in ("median", "argmax")}


class Program(torch.nn.Module):
    def __init__(self, method):
        super().__init__()
        self.method = method

    def forward(self, x, mask, eps):
        return [operator(x, "l2", eps, mask=mask, method=self.method) for operator in used(self.method).values()]


def inputs(rows):
    x = torch.randn(rows, 3)
    x[0, 1] = torch.inf
    mask = torch.rand(rows, 3) < 0.8
    mask[:, :2] = True
    return x, mask, torch.rand(rows, 1) + 0.3


batch = torch.export.Dim("batch")
for method in METHODS + OF_RANKS:
    program = Program(method)
    exported = torch.export.export(program, inputs(3), dynamic_shapes=({0: batch},) * 3).module()
    for rows in (2, 7):
        arguments = inputs(rows)
        for name, *values in zip(used(method), exported(*arguments), program(*arguments), strict=True):
            torch.testing.assert_close(*values, msg=f"{name} by {method}")
"""


def test_programs_are_exported_with_a_free_batch() -> None:
    command = [sys.executable, "-W", "ignore", "-c", EXPORT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize(
    "backend",
    [
        "aot_eager",
        pytest.param(
            "inductor",
            marks=pytest.mark.skipif(
                not shutil.which("g++"), reason="torch.compile's own backend needs g++ on the path"
            ),
        ),
    ],
)
def test_full_graph_compilation(backend: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", COMPILE, backend]
    few = {"TORCHINDUCTOR_COMPILE_THREADS": "1", "TORCHINDUCTOR_CPP_CACHE_PRECOMPILE_HEADERS": "0"}  # for few kernels
    done = subprocess.run(command, env={**os.environ, **few}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
