"""`torch.compile` of the soft operators, in a process of its own: the shape checks of the tests are not compiled."""

import shutil
import subprocess
import sys

import pytest

COMPILE = """
import sys

import torch
from combdiff import soft_rank, soft_sort

generator = torch.Generator().manual_seed(5)
x = torch.randn(2, 5, dtype=torch.float64, generator=generator).requires_grad_()
eps = torch.tensor([[0.5], [0.9]], dtype=torch.float64, requires_grad=True)
for operator in (soft_rank, soft_sort):
    for reg in ("l2", "kl"):
        def model(v, e):
            return operator(2.0 * v, reg, 0.6).sin() + operator(v, reg, e)

        y = torch.compile(model, fullgraph=True, backend=sys.argv[1])(x, eps)
        torch.testing.assert_close(y, model(x, eps))
        found, expected = (torch.autograd.grad(z.square().sum(), (x, eps)) for z in (y, model(x, eps)))
        torch.testing.assert_close(found, expected)
        torch._dynamo.reset()
"""


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
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
