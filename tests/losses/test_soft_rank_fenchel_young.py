"""The Fenchel–Young loss of soft ranks: its gradient, its zeros, convexity, limits and second derivatives."""

# mypy: disable-error-code="no-untyped-call"
import pytest
import torch
from torch import Tensor
from torch.func import grad, vmap

from combdiff import SoftRankFenchelYoungLoss, soft_rank
from tests.derivatives import check_derivatives

each = pytest.mark.parametrize("reg", ["l2", "kl"])


def sample(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def hard(targets: Tensor) -> Tensor:
    return soft_rank(targets, regularization_strength=0.0)


def omega(ranks: Tensor, reg: str) -> Tensor:
    return 0.5 * ranks.square().sum(-1) if reg == "l2" else (ranks * ranks.log()).sum(-1)


@each
def test_the_gradient_is_the_difference_of_ranks(reg: str) -> None:
    for eps in (1e-6, 0.3, 5.0):
        x, t = sample(4, 6).requires_grad_(), sample(4, 6, seed=1).round()
        (gradient,) = torch.autograd.grad(SoftRankFenchelYoungLoss(reg, eps, reduction="sum")(x, t), x)
        torch.testing.assert_close(gradient, soft_rank(x, reg, eps) - hard(t), atol=1e-12, rtol=0)


@each
def test_it_is_the_conjugate_plus_the_regularizer_minus_the_product(reg: str) -> None:
    """Ω* by maximising over the vertices' hull: the soft ranks do at least as well as many points of it."""
    x, t, eps = sample(6), sample(6, seed=1), 0.7
    found = SoftRankFenchelYoungLoss(reg, eps)(x, t)
    ranks = soft_rank(x, reg, eps)
    conjugate = (x * ranks).sum() - eps * omega(ranks, reg)
    torch.testing.assert_close(found, conjugate + eps * omega(hard(t), reg) - (x * hard(t)).sum())
    generator = torch.Generator().manual_seed(2)
    orders = torch.rand(2000, 12, 6, generator=generator).argsort(-1).double() + 1
    weights = torch.rand(2000, 12, 1, generator=generator).double().pow(8)
    points = (orders * weights).sum(1) / weights.sum(1)
    assert ((points * x).sum(-1) - eps * omega(points, reg)).max() <= conjugate


@each
def test_never_negative_and_zero_where_the_ranks_are_right(reg: str) -> None:
    x, t = sample(200, 5), sample(200, 5, seed=1)
    loss = SoftRankFenchelYoungLoss(reg, 0.5, reduction="none")
    wrong = (soft_rank(x, reg, 0.5) - hard(t)).abs().amax(-1) > 1e-6
    assert (loss(x, t) >= -1e-12).all()
    assert (loss(x, t)[wrong] > 0).all()
    torch.testing.assert_close(loss(1e6 * t, t), torch.zeros(200).double(), atol=1e-7, rtol=0)
    middle = loss(0.5 * (x + t), t)
    assert (middle <= 0.5 * (loss(x, t) + loss(t, t)) + 1e-12).all(), "convex"
    torch.testing.assert_close(loss(x + 7.0, t), loss(x, t), msg="shift")
    perceptron = (x * (hard(x) - hard(t))).sum(-1)
    torch.testing.assert_close(SoftRankFenchelYoungLoss(reg, 0.0, reduction="none")(x, t), perceptron)
    torch.testing.assert_close(
        SoftRankFenchelYoungLoss(reg, 1.0, reduction="none")(2 * x, t), 2 * loss(x, t), msg="degree 1 in (x, ε)"
    )


@each
def test_derivatives(reg: str) -> None:
    x, t = sample(2, 5).requires_grad_(), sample(2, 5, seed=1)
    eps = torch.tensor([[0.5], [0.9]], dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[True, True, False, True, True], [True] * 5])
    for valid in (None, mask):

        def loss(v: Tensor, e: Tensor, valid: Tensor | None = valid) -> Tensor:
            valid = None if valid is None else valid.expand(v.shape)
            return SoftRankFenchelYoungLoss(reg, e, reduction="none")(v, t.expand(v.shape), valid)

        check_derivatives(loss, (x, eps), lambda v, e: loss(v, e).square())
    (slope,) = torch.autograd.grad(SoftRankFenchelYoungLoss(reg, eps, reduction="sum")(x, t), eps)
    torch.testing.assert_close(slope[:, 0], omega(hard(t), reg) - omega(soft_rank(x, reg, eps), reg))
    plain = SoftRankFenchelYoungLoss(reg, 0.5)
    rows = vmap(grad(lambda v, t: plain(v, t)))(x.detach(), t)
    torch.testing.assert_close(rows, soft_rank(x.detach(), reg, 0.5) - hard(t))


@each
def test_masks_dimensions_and_precision(reg: str) -> None:
    x, t = sample(3, 4, 6), sample(3, 4, 6, seed=1)
    mask = torch.rand(3, 4, 6, generator=torch.Generator().manual_seed(1)) < 0.7
    each_row = SoftRankFenchelYoungLoss(reg, 0.4, dim=1, reduction="none")
    found = each_row(torch.where(mask, x, torch.nan), torch.where(mask, t, torch.nan), mask)
    assert found.shape == (3, 6)
    for row in range(3):
        for column in range(6):
            kept = mask[row, :, column]
            alone = SoftRankFenchelYoungLoss(reg, 0.4)(x[row, kept, column], t[row, kept, column])
            torch.testing.assert_close(found[row, column], alone)
    torch.testing.assert_close(SoftRankFenchelYoungLoss(reg, 0.4, dim=1)(x, t, mask), found.mean())
    torch.testing.assert_close(SoftRankFenchelYoungLoss(reg, 0.4, dim=1, reduction="sum")(x, t, mask), found.sum())
    single = each_row(x.float(), t.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), each_row(x, t), atol=1e-4, rtol=1e-4)
    leaf = (1e3 * x).float().requires_grad_()
    (gradient,) = torch.autograd.grad(SoftRankFenchelYoungLoss(reg, 1e-2, reduction="sum")(leaf, t.float()), leaf)
    expected = soft_rank(leaf.detach(), reg, 1e-2) - hard(t.float())
    torch.testing.assert_close(gradient, expected, msg="no rounding through the ranks")
    assert each_row(x.bfloat16(), t.bfloat16()).dtype == torch.float32


def test_a_model_learns_an_order_that_squared_ranks_cannot() -> None:
    """Hard and wrong ranks have no gradient in the squared distance; here they have."""
    t = torch.arange(5.0)
    x = torch.tensor([40.0, 30.0, 20.0, 10.0, 0.0], requires_grad=True)
    (flat,) = torch.autograd.grad((soft_rank(x) - t - 1).square().sum(), x)
    assert flat.abs().max() == 0.0
    for _ in range(100):
        (gradient,) = torch.autograd.grad(SoftRankFenchelYoungLoss()(x, t), x)
        x = (x - 0.5 * gradient).detach().requires_grad_()
    assert (soft_rank(x) - t - 1).abs().max() < 0.6
    assert torch.equal(x.argsort(), torch.arange(5))


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="reduction='max'"):
        SoftRankFenchelYoungLoss(reduction="max")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="regularization='l3'"):
        SoftRankFenchelYoungLoss("l3")
    with pytest.raises(ValueError, match="must agree"):
        SoftRankFenchelYoungLoss()(torch.zeros(2, 3), torch.zeros(3))
