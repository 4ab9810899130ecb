"""What torch may do with a layer beside forward and backward: it is right, or it is refused in plain words."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from combdiff import FenchelYoungLoss, Identity, ImplicitMLE, Interpolation, Perturbed, StraightThrough
from combdiff.solvers import TopK
from combdiff.testing import HYPERSIMPLEX, Enumerated

LAYERS: dict[str, Callable[[], Any]] = {
    "interpolation": lambda: Interpolation(TopK(4)),
    "identity": lambda: Identity(TopK(4)),
    "straight-through": lambda: StraightThrough(Perturbed(TopK(4))),
    "implicit-mle": lambda: ImplicitMLE(TopK(4)),
    "perturbed": lambda: Perturbed(TopK(4), samples=2),
    "fenchel-young": lambda: FenchelYoungLoss(Perturbed(TopK(4))),
}
functional: Any = torch.autograd.functional  # it has no types
THETA = torch.rand(3, 4, generator=torch.Generator().manual_seed(0))


def call(layer: Any, theta: Any) -> Tensor:
    """The layer or loss of θ, as a scalar."""
    value: Tensor = layer(theta, torch.eye(4)[:3]) if isinstance(layer, FenchelYoungLoss) else layer(theta)
    return value.sum()


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("transform", [torch.func.grad, torch.func.jacrev, torch.func.vmap])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_bad_transforms_are_refused(transform: Any, name: str, dtype: torch.dtype) -> None:
    layer, theta = LAYERS[name](), THETA.to(dtype)
    if transform is torch.func.vmap:
        theta = theta.expand(2, 3, 4)
    with pytest.raises(TypeError, match=r"inside a transform.*differentiate by torch\.autograd"):
        transform(lambda part: call(layer, part))(theta)


@pytest.mark.parametrize("name", LAYERS)
def test_bad_tensors_are_refused(name: str) -> None:
    layer = LAYERS[name]()
    with pytest.raises(TypeError, match="on the meta device"):
        call(layer, torch.empty(3, 4, device="meta"))
    with pytest.raises(TypeError, match=r"theta is a ndarray.*use torch\.as_tensor\(theta\)"):
        call(layer, np.ones((3, 4)))
    with pytest.raises(TypeError, match=r"use to_dense\(\)"):
        call(layer, THETA.to_sparse())


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = Perturbed(TopK(4))

    def forward(self, theta: Tensor) -> Tensor:
        y: Tensor = self.layer(theta)
        return 2 * y


@pytest.mark.parametrize("strict", [False, True])
def test_export_is_refused(strict: bool) -> None:
    with pytest.raises(Exception, match=r"a fake tensor, as of torch\.export|a solver runs outside of PyTorch"):
        torch.export.export(Net(), (THETA,), strict=strict)


def test_fullgraph_is_refused() -> None:
    torch.compiler.reset()
    with pytest.raises(Exception, match="a solver runs outside of PyTorch: leave out fullgraph=True"):
        torch.compile(Net(), backend="eager", fullgraph=True)(THETA)


@pytest.mark.parametrize("options", [{}, {"mode": "multiplicative"}, {"noise": "gumbel"}])
def test_jvp_is_the_jacobian_times_the_vector(options: dict[str, Any]) -> None:
    """By double backward, through the incoming gradient, in which the gradient of a perturbed layer is linear."""
    theta, v = THETA[0].double(), torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    layer = Perturbed(Enumerated(HYPERSIMPLEX), samples=8, **options)
    for function in (layer, layer.potential):
        torch.manual_seed(0)
        _, product = functional.jvp(function, theta, v)
        torch.manual_seed(0)
        jacobian = functional.jacobian(function, theta)
        assert jacobian.abs().max() > 0
        torch.testing.assert_close(product, jacobian @ v)


def test_jvp_of_interpolation_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"no second derivative.*use vjp"):
        functional.jvp(Interpolation(TopK(4)), THETA, THETA)


def test_a_vectorised_jacobian_is_right_or_refused() -> None:
    theta = THETA[0].double()
    layer = Perturbed(Enumerated(HYPERSIMPLEX), samples=8)
    found = []
    for vectorize in (False, True):
        torch.manual_seed(0)
        found.append(functional.jacobian(layer, theta, vectorize=vectorize))
    torch.testing.assert_close(*found)
    with pytest.raises(TypeError, match="inside a transform"):
        functional.jacobian(Interpolation(TopK(4)), theta, vectorize=True)


def test_the_import_and_a_call_load_no_compiler() -> None:
    program = (
        "import sys, torch, combdiff, combdiff.solvers\n"
        "combdiff.Perturbed(combdiff.solvers.TopK(3))(torch.ones(3, requires_grad=True)).sum().backward()\n"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
