"""SATNet: the semidefinite optimum by its dual, the gradient by finite differences, and what it takes."""

from __future__ import annotations

import copy
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from combdiff.layers import SatNet
from combdiff.satnet.mixing import _descend, _solve_adjoint, _sweep, mixed

CONVERGED: dict[str, Any] = {"max_iter": 2000, "eps": 0.0, "prox": 0.0}


def make(n: int, m: int, aux: int = 0, seed: int = 0, dtype: torch.dtype = torch.float64, **options: Any) -> SatNet:
    torch.manual_seed(seed)
    return SatNet(n, m, aux, **options).to(dtype)


def draw(layer: SatNet, rows: int, share: float = 0.5, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Truth values, of which a share is given."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.rand(rows, layer.n, generator=generator, dtype=layer.start.dtype).round()
    return z, torch.rand(rows, layer.n, generator=generator) < share


def vectors_of(layer: SatNet, z: Tensor, given: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """C, V and ‖g‖ for truth values that are 0 or 1."""
    start = layer.start.expand(len(z), -1, -1).clone()
    free = torch.ones(start.shape[:2], dtype=torch.bool)
    free[:, 0] = False
    free[:, 1 : layer.n + 1] = ~given
    sign = (2 * z - 1)[..., None] * layer.start[0]
    start[:, 1 : layer.n + 1] = torch.where(given[..., None], sign, start[:, 1 : layer.n + 1])
    gram = (layer.clauses @ layer.clauses.T).detach()
    return gram, *_descend(gram, start, free, layer.max_iter, layer.eps)


@pytest.mark.parametrize(("seed", "aux"), list(product(range(4), (0, 3))))
def test_the_descent_ends_at_the_optimum_of_the_semidefinite_program(seed: int, aux: int) -> None:
    """By its dual: min ⟨C, X⟩ over X ⪰ 0 with diag X = 1 is at least −Σλ for every λ with C + Diag(λ) ⪰ 0."""
    layer = make(7, 5, aux, seed, **CONVERGED)
    z, given = draw(layer, 6, seed=seed)
    gram, vectors, norms = vectors_of(layer, z, given)
    for row in range(len(z)):
        v, sign = vectors[row], torch.ones(len(gram), dtype=torch.float64)
        sign[1 : layer.n + 1] = 2 * z[row] - 1
        free = torch.ones(len(gram), dtype=torch.bool)
        free[0], free[1 : layer.n + 1] = False, ~given[row]
        # what is given is ± truth: one vector, the signed sum of all of these
        merged = torch.cat([(sign * ~free)[:, None], torch.eye(len(gram), dtype=torch.float64)[:, free]], dim=1)
        small = merged.T @ gram @ merged
        small.fill_diagonal_(0.0)
        x = torch.cat([v[:1], v[free]])
        value = float((small * (x @ x.T)).sum())
        pull = small[0, 1:] @ x[1:]  # at the optimum along truth itself, −λ_0 v_0, whatever else is there cancels
        multipliers = torch.cat([pull.norm()[None], norms[row, free]])
        slack = float(torch.linalg.eigvalsh(small + torch.diag(multipliers))[0])
        assert slack > -1e-7
        assert value == pytest.approx(-float(multipliers.sum()), abs=1e-7)


def test_vectors_are_unit_and_what_is_fixed_stays() -> None:
    layer = make(20, 9, 5, dtype=torch.float32)
    z, given = draw(layer, 7)
    _, vectors, _ = vectors_of(layer, z, given)
    torch.testing.assert_close(vectors.norm(dim=2), torch.ones(7, 26))
    torch.testing.assert_close(vectors[:, 0], layer.start[:1].expand(7, -1), rtol=0, atol=0)
    out = layer(z, given)
    assert torch.equal(out[given], z[given])
    assert bool(((out >= 0) & (out <= 1)).all())


@pytest.mark.parametrize("seed", range(3))
def test_gradients_are_those_of_finite_differences(seed: int) -> None:
    layer = make(6, 12, 2, seed, **CONVERGED)  # (few clauses: the descent takes tens of thousands of sweeps)
    z, given = draw(layer, 3, seed=seed)
    z = (0.9 * z + 0.05).requires_grad_()

    def run(clauses: Tensor, z: Tensor) -> Tensor:
        return torch.func.functional_call(layer, {"clauses": clauses}, (z, given))

    torch.autograd.gradcheck(run, (layer.clauses.detach().requires_grad_(), z), eps=1e-6, atol=1e-5, rtol=1e-4)


def test_gradient_by_the_clauses_alone_is_the_same() -> None:
    layer = make(6, 4, 2)
    z, given = draw(layer, 3)
    found = []
    for source in (z, z.clone().requires_grad_()):
        layer.zero_grad()
        torch.autograd.backward(layer(source, given).square().sum())
        assert layer.clauses.grad is not None
        found.append(layer.clauses.grad.clone())
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("n", [1, 3, 4, 5, 15, 16, 17, 40])
def test_the_kernels_are_the_plain_steps(n: int) -> None:
    """Blocks of four and lanes of sixteen, whatever is left of them."""
    layer = make(n, 6, 2, n)
    _, given = draw(layer, 3, 0.3)
    start = layer.start.expand(3, -1, -1).contiguous()
    free = torch.cat([torch.zeros(3, 1, dtype=torch.bool), ~given, torch.ones(3, 2, dtype=torch.bool)], dim=1)
    gram = (layer.clauses @ layer.clauses.T).detach()
    for most, eps in ((1, 0.0), (7, 0.0), (40, 1e-3)):
        vectors, norms = _descend(gram, start, free, most, eps)
        plain = start.clone()
        plain_norms = _sweep(gram, free, plain, None, torch.zeros_like(norms), most, eps, 0.0)
        torch.testing.assert_close(vectors, plain)
        torch.testing.assert_close(norms, plain_norms)
        gradient, adjoint = torch.randn_like(vectors), torch.zeros_like(vectors)
        _sweep(gram, free, adjoint, (vectors, gradient), norms, most, eps, 0.1)
        torch.testing.assert_close(_solve_adjoint(gram, vectors, norms, free, gradient, most, eps, 0.1), adjoint)


def test_a_row_depends_on_itself_alone() -> None:
    layer = make(30, 12, 4, dtype=torch.float32)
    z, given = draw(layer, 9)
    whole = layer(z, given)
    assert torch.equal(whole, layer(z, given))
    _, vectors, _ = vectors_of(layer, z, given)
    for row in range(9):
        assert torch.equal(vectors_of(layer, z[row : row + 1], given[row : row + 1])[1][0], vectors[row])
        # (torch's own sines and arcs differ in the last digit with the place of an entry)
        torch.testing.assert_close(layer(z[row : row + 1], given[row : row + 1])[0], whole[row], rtol=0, atol=1e-6)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert torch.equal(layer(z, given), whole)
    finally:
        torch.set_num_threads(threads)


def test_what_is_not_given_says_nothing() -> None:
    layer = make(12, 6)
    z, given = draw(layer, 4)
    assert torch.equal(layer(z, given), layer(torch.where(given, z, 0.3), given))


def test_single_precision_is_near_double() -> None:
    double = make(12, 6, 3)
    single = copy.deepcopy(double).float()
    z, given = draw(double, 5)
    torch.testing.assert_close(single(z.float(), given), double(z, given).float(), atol=1e-3, rtol=0)


def test_a_copy_by_its_state_answers_the_same() -> None:
    first, second = make(8, 4, seed=0), make(8, 4, seed=1)
    z, given = draw(first, 3)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(z, given), second(z, given))
    assert second.extra_repr() == "n=8, m=4, aux=0, k=8, max_iter=40, eps=0.0001, prox=0.01"


def test_clauses_of_zeros_move_nothing() -> None:
    layer = make(4, 2)
    layer.clauses.data.zero_()
    z, given = draw(layer, 2)
    layer.prox = 0.0
    out = layer(z, given)
    torch.autograd.backward(out.sum())
    assert layer.clauses.grad is not None
    assert bool(out.isfinite().all())
    assert bool((layer.clauses.grad == 0).all())


def test_empty_batch_and_everything_given() -> None:
    layer = make(4, 2)
    nothing = torch.zeros(0, 4, dtype=torch.float64)
    assert layer(nothing, nothing.bool()).shape == (0, 4)
    z, given = draw(layer, 2, 1.1)
    out = layer(z, given)
    assert torch.equal(out, z)
    torch.autograd.backward(out.sum())


def test_exclusive_or_is_learned() -> None:
    layer = make(3, 4, 4, dtype=torch.float32, prox=0.1)
    bits = torch.tensor([[0.0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]])
    given = torch.tensor([[True, True, False]]).expand(4, 3)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
    for _ in range(150):
        loss = torch.nn.functional.binary_cross_entropy(layer(bits, given)[:, 2], bits[:, 2])
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    assert torch.equal(layer(bits, given).detach().round(), bits)


def test_second_derivatives_are_refused() -> None:
    layer = make(5, 3)
    z, given = draw(layer, 2)
    z.requires_grad_()
    (gradient,) = torch.autograd.grad(layer(z, given).square().sum(), layer.clauses, create_graph=True)
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.backward(gradient.square().sum())
    outer = torch.ones(2, 5, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(layer(z, given), layer.clauses, outer, create_graph=True)
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(gradient.sum(), outer)


def test_bad_values_are_refused() -> None:
    layer = make(4, 2)
    z, given = draw(layer, 3)
    for value in (-0.1, 1.5, float("nan"), float("inf")):
        bad = z.clone()
        bad[2, 1] = value
        with pytest.raises(ValueError, match=r"z\[2, 1\] is .*probabilities in \[0, 1\]"):
            layer(bad, given)
    with pytest.raises(ValueError, match=r"z has shape \(3, 3\), but \(batch, 4\)"):
        layer(z[:, :3], given[:, :3])
    with pytest.raises(ValueError, match=r"given has shape \(2, 4\)"):
        layer(z, given[:2])
    with pytest.raises(TypeError, match=r"given has dtype torch.int64"):
        layer(z, given.long())
    with pytest.raises(TypeError, match=r"z has dtype torch.float32 and the layer torch.float64"):
        layer(z.float(), given)
    with pytest.raises(TypeError, match="inside a transform"):
        torch.func.grad(lambda s: torch.func.functional_call(layer, {"clauses": s}, (z, given)).sum())(
            layer.clauses.detach()
        )
    layer.clauses.data[3, 1] = float("nan")
    with pytest.raises(ValueError, match=r"clauses\[3, 1\] is nan: a finite number"):
        layer(z, given)


@pytest.mark.parametrize(
    "options",
    [{"n": 0, "m": 1}, {"n": 1, "m": 0}, {"aux": -1}, {"k": 1}, {"max_iter": 0}, {"eps": -1.0}, {"prox": float("nan")}],
)
def test_bad_options_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        SatNet(**{"n": 3, "m": 2, **options})  # type: ignore[arg-type]


def test_gradients_by_fixed_vectors_are_those_of_finite_differences() -> None:
    """Beside their effect on the others they are passed through; where a free vector starts does not count."""
    layer = make(5, 12)
    free = torch.tensor([[False, True, True, False, True, True]])
    gram = (layer.clauses @ layer.clauses.T).detach()

    def angles(start: Tensor) -> Tensor:  # the vectors themselves are known up to a rotation
        vectors = mixed(gram, torch.where(free[..., None], layer.start, start), free, 2000, 0.0, 0.0)
        return vectors @ vectors.mT

    start = layer.start[None].clone().requires_grad_()
    torch.autograd.gradcheck(angles, start, atol=1e-5, rtol=1e-4)
    torch.autograd.backward(mixed(gram, start, free, 100, 0.0, 0.0).square().sum())
    assert start.grad is not None
    assert bool((start.grad[free] == 0).all())
