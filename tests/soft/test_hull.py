"""The plain torch path of other devices, run on CPU tensors beside the compiled kernels."""

# mypy: disable-error-code="no-untyped-call"
import pytest
import torch
from torch import Tensor

from combdiff import soft_rank, soft_sort
from combdiff.soft.permutahedron import compiled
from combdiff.soft.permutahedron.hull import project_anywhere
from combdiff.soft.permutahedron.kinds import RANK_KL, RANK_L2, SORT_KL, SORT_L2
from tests.derivatives import check_derivatives

OPERATORS = [(soft_rank, "l2"), (soft_sort, "l2"), (soft_rank, "kl"), (soft_sort, "kl")]


@pytest.mark.parametrize("n", [1, 2, 3, 8, 33])
@pytest.mark.parametrize("kind", [RANK_L2, SORT_L2, RANK_KL, SORT_KL])
def test_any_device_formulation_agrees_with_the_compiled_one(kind: int, n: int) -> None:
    generator = torch.Generator().manual_seed(n)
    x = torch.randn(8, n, dtype=torch.float64, generator=generator)
    x[0] = x[0].round()
    if n > 2:
        x[1, 0], x[1, 1], x[2, 1], x[3, 2] = torch.inf, torch.inf, -torch.inf, torch.nan
    mask = torch.rand(8, n, generator=generator) < 0.7
    for eps in (0.0, 0.4, float("inf")):
        strength = torch.full((8, 1), eps, dtype=torch.float64)
        for valid in (None, mask):
            for sign in (1, -1):
                expected, blocks = compiled.project(x, strength, valid, kind, sign)
                found, found_blocks = project_anywhere(x, strength, valid, kind, sign)
                torch.testing.assert_close(found, expected, equal_nan=True, rtol=1e-9, atol=1e-9)
                if kind in (RANK_L2, RANK_KL):  # equal values may be told apart either way by a sort
                    assert torch.equal(found_blocks, blocks)


@pytest.mark.parametrize("kind", [RANK_L2, SORT_L2, RANK_KL, SORT_KL])
@pytest.mark.parametrize("eps", [1e-3, 0.05, 1.0, 20.0])
def test_gaps_of_every_size(kind: int, eps: float) -> None:
    """Blocks of all lengths, over several windows of exponentials; the two ways are independent of each other."""
    generator = torch.Generator().manual_seed(int(100 * eps))
    size = torch.tensor([1e-4, 1e-2, 0.3, 3.0, 80.0], dtype=torch.float64)
    gaps = torch.rand(40, 150, dtype=torch.float64, generator=generator)
    gaps *= size[torch.randint(5, gaps.shape, generator=generator)]
    x = gaps.cumsum(-1)[:, torch.randperm(150, generator=generator)].contiguous()
    strength = torch.full((40, 1), eps, dtype=torch.float64)
    expected, blocks = compiled.project(x, strength, None, kind, 1)
    found, found_blocks = project_anywhere(x, strength, None, kind, 1)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9 * max(1.0, 1 / eps))
    assert torch.equal(found_blocks, blocks)


@pytest.mark.parametrize(("operator", "reg"), OPERATORS, ids=lambda v: getattr(v, "__name__", v))
@pytest.mark.parametrize("n", [2, 5, 40])
def test_derivatives_without_the_kernels(operator, reg, n, monkeypatch):  # type: ignore[no-untyped-def]
    """The whole route of a tensor that the kernels cannot read: operator, hull, first and second gradient."""
    x = torch.randn(3, n, dtype=torch.float64, generator=torch.Generator().manual_seed(n)).requires_grad_()
    eps = torch.tensor([[0.3], [0.9], [2.0]], dtype=torch.float64, requires_grad=True)
    mask = torch.rand(3, n, generator=torch.Generator().manual_seed(1)) < 0.8
    weights = torch.linspace(-1, 1, n, dtype=torch.float64).sin()

    def derivatives(valid: Tensor | None, descending: bool) -> list[Tensor]:
        y = operator(x, reg, eps.detach(), mask=valid, descending=descending)
        (first,) = torch.autograd.grad((y * weights).sum(), x)
        z = operator(x, reg, eps, mask=valid, descending=descending).sin()
        both = torch.autograd.grad((z * weights).sum(), (x, eps), create_graph=True)
        second = torch.autograd.grad(both[0].square().sum() + both[1].square().sum(), (x, eps))
        return [y.detach(), first, *(g.detach() for g in both), *second]

    for valid in (None, mask):
        for descending in (False, True):
            monkeypatch.undo()
            expected = derivatives(valid, descending)
            monkeypatch.setattr(compiled, "serves", lambda x: False)
            monkeypatch.setattr(compiled, "run_kernel", None)  # nothing may call a kernel
            found = derivatives(valid, descending)
            torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)
    if n == 5:
        check_derivatives(lambda v, e: operator(v, reg, e), (x, eps), lambda v, e: operator(v, reg, e).sin())
