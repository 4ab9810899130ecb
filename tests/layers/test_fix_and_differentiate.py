"""Gradients of constraints against finite differences of whole mixed-integer programs."""

from typing import Any

import pytest
import torch
from torch import Tensor

from combdiff.errors import SolverError
from combdiff.layers import FixAndDifferentiate
from combdiff.solvers import MixedIntegerPrograms, TopK

pytest.importorskip("ortools")
STEP = 1e-5


def problems(count: int) -> list[Tensor]:
    """θ, A, b, lower and upper of four variables and three rows; the middle of the box is feasible."""
    generator = torch.Generator().manual_seed(count)
    draw: dict[str, Any] = {"generator": generator, "dtype": torch.float64}
    lower, upper = -torch.rand(count, 4, **draw), 1.0 + torch.rand(count, 4, **draw)
    A = torch.randn(count, 3, 4, **draw)
    b = (A * (lower + upper).round().unsqueeze(1) / 2).sum(2) + 0.5 + 0.5 * torch.rand(count, 3, **draw)
    return [part.requires_grad_() for part in (torch.randn(count, 4, **draw), A, b, lower, upper)]


@pytest.mark.parametrize("sense", ["min", "max"])
def test_gradients_are_finite_differences_off_the_breakpoints(sense: Any) -> None:
    """200 programs in all, two integers each: the derivative of ⟨g, y⟩ along a random direction of all inputs."""
    layer = FixAndDifferentiate(MixedIntegerPrograms(4, integrality=[1, 0, 0, 1], sense=sense, backend="highs"))
    given, generator = problems(100), torch.Generator().manual_seed(0)
    g, *along = (torch.randn(part.shape, generator=generator, dtype=torch.float64) for part in (given[0], *given))
    y = layer(*given)
    found = torch.autograd.grad(y, given, g)
    slope = sum(((one * other).flatten(1).sum(1) for one, other in zip(found, along, strict=True)), torch.zeros(()))
    with torch.no_grad():
        moved = layer(*(part + STEP * other for part, other in zip(given, along, strict=True)))
    smooth = (moved - y).detach().abs().amax(1) < 1e3 * STEP  # no integer has changed
    assert smooth.sum() >= 98
    expected = ((moved - y.detach()) * g).sum(1) / STEP
    torch.testing.assert_close(slope[smooth], expected[smooth], rtol=1e-3, atol=2e-3)
    assert (found[0] == 0).all()
    for part in found[1:]:
        assert (part != 0).flatten(1).any(1).double().mean() > 0.2
    assert layer.stats.solves == 200


def test_shapes_and_dtypes_and_rows_that_failed() -> None:
    given = problems(6)
    with torch.no_grad():
        for end in given[3:]:
            end[:, [0, 3]] = end[:, [0, 3]].round()
    layer = FixAndDifferentiate(MixedIntegerPrograms(4, integrality=[1, 0, 0, 1]), "mask")
    y = layer(*given)
    grads = torch.autograd.grad(y.sum(), given[1:])
    assert (grads[2] != 0).any()
    assert not any(part[:, [0, 3]].any() for part in grads[2:])  # bounds of integers, which are fixed
    shaped = [part.reshape(2, 3, *part.shape[1:]) for part in given]
    for one, other in zip(torch.autograd.grad(layer(*shaped).sum(), given[1:]), grads, strict=True):
        torch.testing.assert_close(one, other)
    single = [given[0].float(), given[1][0], given[2][0], given[3][0], given[4][0]]
    assert layer(*single).dtype == torch.float32
    b = given[2].detach().clone()
    b[2] -= 99.0
    b.requires_grad_()
    failed = layer(given[0], given[1], b, *given[3:])
    assert failed.isnan().all(1).tolist() == [row == 2 for row in range(6)]
    (slope,) = torch.autograd.grad(failed.nansum(), b)
    torch.testing.assert_close(slope, grads[1].masked_fill(torch.arange(6)[:, None] == 2, 0.0))
    with pytest.raises(SolverError, match="row 2: INFEASIBLE"):
        FixAndDifferentiate(layer.solver)(given[0], given[1], b, *given[3:])
    with pytest.raises(ValueError, match=r"lower has shape \(3, 4\), but theta \(6, 4\) needs \(\*batch, n\)"):
        layer(given[0], given[1], given[2], given[3][:3])
    with pytest.raises(TypeError, match="a TopK has no bounds"):
        FixAndDifferentiate(TopK(4))
