"""Soft top-k, quantiles, argmax, permutation matrices, the other methods, arguments and modules."""

# mypy: disable-error-code="no-untyped-call"
import inspect
import itertools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from combdiff import (
    soft_argmax,
    soft_argquantile,
    soft_argsort,
    soft_median,
    soft_permutation,
    soft_quantile,
    soft_rank,
    soft_sort,
    soft_topk,
    soft_topk_log_mask,
    soft_topk_mask,
)
from combdiff.soft import (
    SoftArgmax,
    SoftArgquantile,
    SoftArgsort,
    SoftMedian,
    SoftPermutation,
    SoftQuantile,
    SoftRank,
    SoftSort,
    SoftTopK,
    gumbel_perturbed,
    stochastic,
)
from combdiff.temperature import Geometric

OTHERS = ["lapsum", "neuralsort", "softsort", "sinkhorn", "network"]
MATRICES = ["neuralsort", "softsort", "sinkhorn", "lapsum", "network", "bitonic"]
NAN = float("nan")
DOUBLY = ["sinkhorn", "lapsum", "network", "bitonic"]


def sample(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kl", [False, True])
@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("eps", [0.05, 0.7, 9.0])
def test_topk_against_every_active_set(eps: float, k: int, kl: bool) -> None:
    """The best feasible point over all choices of ones, zeros and the rest."""
    for x in [*sample(4, 6), torch.tensor([1.0, 1, 1, 0, 0, 2]).double()]:
        z, best, found = (x / eps).numpy(), np.inf, np.zeros(6)
        for choice in itertools.product((0, 1, 2), repeat=6):
            state = np.array(choice)
            free, ones = state == 2, int((state == 1).sum())
            m = (state == 1).astype(float)
            if free.any():
                if kl:
                    share = np.exp(z[free] - z[free].max())
                    m[free] = (k - ones) * share / share.sum()
                else:
                    m[free] = z[free] - (z[free].sum() - (k - ones)) / free.sum()
            if abs(m.sum() - k) > 1e-9 or m.min() < -1e-12 or m.max() > 1 + 1e-12:
                continue
            value = (m * (np.log(np.maximum(m, 1e-300)) - z)).sum() if kl else 0.5 * ((m - z) ** 2).sum()
            if value < best:
                best, found = value, m
        mask = soft_topk(x, k, "kl" if kl else "l2", eps).mask
        np.testing.assert_allclose(mask.numpy(), found, atol=1e-9)


@pytest.mark.parametrize("method", ["pav", *OTHERS])
def test_topk_limits_and_masks(method: str) -> None:
    x = sample(5, 9)
    for largest in (True, False):
        values, mask = soft_topk(x, 3, regularization_strength=1e-6, largest=largest, method=method)
        truth = x.topk(3, largest=largest)
        torch.testing.assert_close(values, truth.values)
        torch.testing.assert_close(mask, torch.zeros_like(x).scatter(-1, truth.indices, 1.0))
    for k in (0, 2, 9):
        shares = soft_topk(x, k, regularization_strength=0.5, method=method).mask
        torch.testing.assert_close(shares.sum(-1), torch.full((5,), float(k), dtype=torch.float64))
        assert (shares >= -1e-12).all()
    valid = torch.arange(9) < torch.tensor([[9], [5], [2], [1], [0]])
    shares = soft_topk(x, 3, regularization_strength=0.5, mask=valid, method=method).mask
    torch.testing.assert_close(shares.sum(-1), torch.tensor([3.0, 3.0, 2.0, 1.0, 0.0]).double())
    assert (shares[~valid] == 0).all()
    torch.testing.assert_close(shares[1, :5], soft_topk(x[1, :5], 3, regularization_strength=0.5, method=method).mask)


def test_topk_is_flat_where_it_is_exact_and_ties_are_inside() -> None:
    x = torch.tensor([3.0, 3.0, 2.0, 0.0, 3.0], dtype=torch.float64, requires_grad=True)
    for k, eps in ((3, 0.5), (3, 1.0), (4, 0.5), (5, 9.0)):
        shares = soft_topk(x, k, "l2", eps).mask
        assert shares.sort().values.tolist() == [0.0] * (5 - k) + [1.0] * k
        (gradient,) = torch.autograd.grad((shares * torch.arange(5)).sum(), x)
        assert gradient.tolist() == [0.0] * 5


def test_topk_of_one_is_softmax() -> None:
    x = sample(4, 7)
    torch.testing.assert_close(soft_topk(x, 1, "kl", 0.3).mask, torch.softmax(x / 0.3, -1))
    index = torch.arange(7.0).double()
    torch.testing.assert_close(soft_argmax(x, "kl", 0.3), (torch.softmax(x / 0.3, -1) * index).sum(-1))
    torch.testing.assert_close(soft_argmax(x, regularization_strength=1e-6), x.argmax(-1).double())


@pytest.mark.parametrize("q", [0.0, 0.3, 0.5, 1.0])
def test_quantiles_tend_to_the_hard_ones(q: float) -> None:
    x = sample(4, 3, 6)
    for dim in (0, 1, -1):
        for keep in (False, True):
            found = soft_quantile(x, q, regularization_strength=0.0, dim=dim, keepdim=keep)
            torch.testing.assert_close(found, torch.quantile(x, q, dim=dim, keepdim=keep))
    points = torch.tensor([0.1, q], dtype=torch.float64)
    torch.testing.assert_close(
        soft_quantile(x, points, regularization_strength=0.0, dim=1), torch.quantile(x, points, dim=1)
    )
    mask = torch.rand(4, 3, 6, generator=torch.Generator().manual_seed(0)) < 0.8
    found = soft_median(x, regularization_strength=0.0, mask=mask)
    torch.testing.assert_close(found, torch.where(mask, x, torch.nan).nanquantile(0.5, dim=-1))


@pytest.mark.parametrize("method", MATRICES)
def test_matrices(method: str) -> None:
    x = sample(3, 7)
    for eps in (1e-6, 0.4, 1e6):
        matrix = soft_permutation(x, eps, method=method)
        torch.testing.assert_close(matrix.sum(-1), torch.ones(3, 7).double())
        if method in DOUBLY:
            torch.testing.assert_close(matrix.sum(-2), torch.ones(3, 7).double(), atol=1e-7, rtol=0)
        assert (matrix >= 0).all()
    hard = soft_permutation(x, 0.0, method=method)
    torch.testing.assert_close((hard @ x[..., None])[..., 0], x.sort(-1).values)
    down = soft_permutation(x, 1e-6, method=method, descending=True)
    torch.testing.assert_close((down @ x[..., None])[..., 0], x.sort(-1, descending=True).values)
    two = torch.tensor([0.0, 0.8], dtype=torch.float64)
    share = 1 - torch.exp(-two[1] / 1.0) / 2 if method == "lapsum" else torch.sigmoid(two[1] / 0.5)
    torch.testing.assert_close(soft_permutation(two, 0.5, method=method)[1, 1], share)
    assert soft_permutation(x, 0.4, method=method, dim=0).shape == (7, 3, 3)
    assert soft_permutation(x[:, :0], 0.4, method=method).shape == (3, 0, 0)


@pytest.mark.parametrize("method", MATRICES)
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 9])
def test_a_masked_matrix_is_that_of_the_entries_that_count(method: str, count: int) -> None:
    x = sample(3, 9)
    mask = torch.zeros(9, dtype=torch.bool)
    mask[torch.randperm(9, generator=torch.Generator().manual_seed(count))[:count]] = True
    for descending in (False, True):
        found = soft_permutation(x, 0.4, method=method, mask=mask, descending=descending)
        alone = soft_permutation(x[:, mask], 0.4, method=method, descending=descending)
        torch.testing.assert_close(found[:, :count][..., mask], alone)
        assert (found[..., ~mask] == 0).all()
        assert (found[:, count:] == 0).all()


@pytest.mark.parametrize("method", OTHERS)
def test_every_method_has_one_meaning_of_temperature(method: str) -> None:
    x = sample(3, 8)

    def rank(v: Tensor, eps: float) -> Tensor:
        return soft_rank(v, regularization_strength=eps, method=method)

    def ordered(v: Tensor, eps: float) -> Tensor:
        return soft_sort(v, regularization_strength=eps, method=method)

    torch.testing.assert_close(rank(3 * x, 0.9), rank(x, 0.3), atol=1e-6, rtol=0)
    torch.testing.assert_close(ordered(3 * x, 0.9), 3 * ordered(x, 0.3), atol=1e-6, rtol=0)
    torch.testing.assert_close(rank(x + 5, 0.3), rank(x, 0.3), atol=1e-6, rtol=0)
    torch.testing.assert_close(ordered(x + 5, 0.3), ordered(x, 0.3) + 5, atol=1e-6, rtol=0)
    torch.testing.assert_close(rank(x, 1e-7), x.argsort(-1).argsort(-1) + 1.0, check_dtype=False)
    torch.testing.assert_close(ordered(x, 1e-7), x.sort(-1).values)
    if method != "network":  # an odd-even network mixes every entry with a few neighbours only
        torch.testing.assert_close(rank(x, 1e6), torch.full_like(x, 4.5), atol=1e-3, rtol=0)
        if method != "softsort":
            mean = x.mean(-1, keepdim=True).expand_as(x)
            torch.testing.assert_close(ordered(x, 1e6), mean, atol=1e-3, rtol=0)


def test_lapsum_is_its_definition() -> None:
    x, eps = sample(2, 9), 0.4
    gaps = (x[..., :, None] - x[..., None, :]) / eps
    laplace = torch.where(gaps <= 0, 0.5 * gaps.clamp(max=0).exp(), 1 - 0.5 * (-gaps.clamp(min=0)).exp())
    torch.testing.assert_close(soft_rank(x, regularization_strength=eps, method="lapsum"), laplace.sum(-1) + 0.5)
    ordered = soft_sort(x, regularization_strength=eps, method="lapsum")
    torch.testing.assert_close(ordered.sum(-1), x.sum(-1))
    top = soft_topk(x, 4, regularization_strength=eps, method="lapsum")
    torch.testing.assert_close((top.mask * x).sum(-1), ordered[..., -4:].sum(-1))


@pytest.mark.parametrize("method", ["pav", *OTHERS])
@pytest.mark.parametrize("operator", [soft_rank, soft_sort])
def test_dims_masks_and_empty_inputs(operator, method):  # type: ignore[no-untyped-def]
    x = sample(3, 4, 5)
    for dim in (0, 1, 2, -1, -2):
        for down in (False, True):
            found = operator(x, regularization_strength=0.3, dim=dim, descending=down, method=method)
            moved = operator(x.movedim(dim, -1), regularization_strength=0.3, descending=down, method=method)
            torch.testing.assert_close(found, moved.movedim(-1, dim))
    mask = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(1)) < 0.6
    spoilt = torch.where(mask, x, torch.nan)
    found = operator(spoilt, regularization_strength=0.3, mask=mask, method=method)
    for at in itertools.product(range(3), range(4)):
        alone = operator(x[at][mask[at]], regularization_strength=0.3, method=method)
        kept = found[at][mask[at]] if operator is soft_rank else found[at][: int(mask[at].sum())]
        torch.testing.assert_close(kept, alone)
        rest = found[at][~mask[at]] if operator is soft_rank else found[at][int(mask[at].sum()) :]
        assert (rest == 0).all()
    for shape in ((0,), (0, 3), (2, 0), (1,), (3, 1)):
        empty = torch.zeros(shape, requires_grad=True)
        y = operator(empty, method=method)
        assert y.shape == shape
        y.sum().backward()


def test_strengths_broadcast_and_learn() -> None:
    x = sample(3, 4, 5)
    eps = torch.tensor([0.1, 0.5, 1.0, 2.0], dtype=torch.float64).reshape(4, 1).requires_grad_()
    y = soft_rank(x, "l2", eps)
    for row in range(4):
        torch.testing.assert_close(y[:, row], soft_rank(x[:, row], "l2", float(eps.detach()[row])))
    y.square().sum().backward()
    assert eps.grad is not None
    assert eps.grad.shape == (4, 1)
    module = SoftRank(regularization_strength=torch.nn.Parameter(torch.tensor(0.7)))
    assert [name for name, _ in module.named_parameters()] == ["regularization_strength"]
    schedule = Geometric(1.0, 0.1, 2)
    moving = SoftRank("kl", regularization_strength=schedule)
    before = moving(x)
    schedule.step()
    assert not torch.equal(before, moving(x))


def test_results_do_not_depend_on_threads() -> None:
    x = sample(64, 700).float()
    kept, found = torch.get_num_threads(), []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        leaf = x.clone().requires_grad_()
        y = soft_rank(leaf, "kl", 0.01)
        found.append((y, torch.autograd.grad(y.square().sum(), leaf)[0]))
    torch.set_num_threads(kept)
    assert all(torch.equal(a, b) for pair in found[1:] for a, b in zip(found[0], pair, strict=True))


def test_modules_and_gumbel() -> None:
    x = sample(2, 6)
    assert torch.equal(
        SoftTopK(2, regularization_strength=0.3)(x).mask, soft_topk(x, 2, regularization_strength=0.3).mask
    )
    assert torch.equal(SoftQuantile(0.2)(x), soft_quantile(x, 0.2))
    assert "regularization_strength=1.0" in repr(SoftRank())
    generator = torch.Generator().manual_seed(0)
    logits = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64)
    first = gumbel_perturbed(logits, 40_000, 0.5, generator).argmax(-1).bincount(minlength=3) / 40_000
    assert ((first - torch.softmax(logits / 0.5, -1)).abs() < 5 * 0.5 / 200).all(), "five standard errors"
    again = stochastic(soft_permutation, x, 0.3, samples=4, generator=generator, method="sinkhorn")
    assert again.shape == (4, 2, 6, 6)


MODULES: dict[type, Callable[..., Any]] = {
    SoftRank: soft_rank,
    SoftSort: soft_sort,
    SoftTopK: soft_topk,
    SoftQuantile: soft_quantile,
    SoftMedian: soft_median,
    SoftArgmax: soft_argmax,
    SoftPermutation: soft_permutation,
    SoftArgsort: soft_argsort,
    SoftArgquantile: soft_argquantile,
}
ORDER = ["values", "k", "q", "regularization", "regularization_strength"]
KEYWORDS = ["dim", "descending", "largest", "keepdim", "mask", "method"]


@pytest.mark.parametrize("operator", [*MODULES.values(), soft_topk_mask, soft_topk_log_mask])
def test_operators_have_one_order_of_arguments(operator) -> None:  # type: ignore[no-untyped-def]
    parameters = inspect.signature(operator).parameters
    assert list(parameters) == [name for name in ORDER + KEYWORDS if name in parameters]
    assert all((it.kind is it.KEYWORD_ONLY) == (name in KEYWORDS) for name, it in parameters.items())


@pytest.mark.parametrize("module", MODULES)
def test_modules_take_the_arguments_of_the_function_and_no_others(module: type) -> None:
    operator, x = MODULES[module], sample(3, 5)
    own = [{"k": 2, "q": 0.3}[name] for name in ("k", "q") if name in inspect.signature(operator).parameters]
    has_regularization = "regularization" in inspect.signature(operator).parameters
    arguments = [*own, "kl", 0.3] if has_regularization else [*own, 0.3]
    made = module(*arguments, dim=0)
    torch.testing.assert_close(made(x), operator(x, *arguments, dim=0))
    assert made.temperature == 0.3
    for wrong in ({"regularization_strengh": 0.1}, {"mask": x > 0}, {"values": x}):
        with pytest.raises(TypeError, match=module.__name__):
            module(*arguments, **wrong)
    if own:
        with pytest.raises(TypeError, match="missing"):
            module()


@pytest.mark.parametrize("module", MODULES)
def test_bad_values_are_refused_when_a_module_is_made(module: type) -> None:
    """By the checks of the function, whose errors they are."""
    operator, x = MODULES[module], sample(3, 5)
    parameters = inspect.signature(operator).parameters
    own = {name: {"k": 2, "q": 0.3}[name] for name in ("k", "q") if name in parameters}
    for name, bad in (
        ("k", -1),
        ("q", 1.5),
        ("q", torch.zeros(2, 2)),
        ("regularization", "l3"),
        ("regularization_strength", -1.0),
        ("regularization_strength", torch.tensor([[NAN]])),
        ("descending", "up"),
        ("largest", 1),
        ("keepdim", None),
        ("method", "quick"),
        ("method", "bitonic" if module in (SoftRank, SoftSort) else "torchsort"),
    ):
        if name not in parameters or (module in (SoftQuantile, SoftMedian) and bad == "torchsort"):
            continue
        with pytest.raises((TypeError, ValueError)) as refused:
            operator(x, **{**own, name: bad})
        with pytest.raises(refused.type, match=re.escape(str(refused.value).split(" number of")[0])):
            module(**{**own, name: bad})
    made = module(**own)
    for name in ("temperature", "regularization_strength"):
        with pytest.raises(ValueError, match=r"-0\.5"):
            setattr(made, name, -0.5)
    assert made.temperature == 1.0


def test_bad_arguments_say_what_to_do() -> None:
    x = torch.randn(2, 3)
    for call, error, words in (
        (lambda: soft_rank(torch.arange(3)), TypeError, "float"),
        (lambda: soft_rank(torch.tensor(1.0)), ValueError, "dimension"),
        (lambda: soft_rank(x, dim=2), ValueError, "dim=2"),
        (lambda: soft_rank(x, "l3"), ValueError, "'l3'"),
        (lambda: soft_sort(x, method="quick"), ValueError, "'quick'"),
        (lambda: soft_rank(x, regularization_strength=-1.0), ValueError, "-1.0"),
        (lambda: soft_rank(x, regularization_strength=torch.tensor([-2.0])), ValueError, "-2.0"),
        (lambda: soft_rank(x, regularization_strength=torch.ones(3)), ValueError, "one strength a row"),
        (lambda: soft_rank(x, mask=torch.ones(3)), TypeError, "bool"),
        (lambda: soft_rank(x, mask=torch.ones(4, dtype=torch.bool)), ValueError, "broadcast"),
        (lambda: soft_topk(x, 4), ValueError, "k=4"),
        (lambda: soft_quantile(x, 1.5), ValueError, "1.5"),
        (lambda: soft_quantile(x[:, :0], 0.5), ValueError, "no entries"),
        (lambda: soft_rank(x, method="torchsort", regularization_strength=0.0), ValueError, "positive"),
        (lambda: stochastic(soft_rank, x, dim=0), ValueError, "dim=-2"),
    ):
        with pytest.raises(error, match=words):
            call()
