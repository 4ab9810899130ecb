"""The audit finds planted faults, and none in sound set-ups."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from combdiff import FenchelYoungLoss, Interpolation, Perturbed, SpearmanLoss
from combdiff.diagnostics import audit, audit_estimator
from combdiff.solvers import ShortestPath, TopK
from experiments.harness.run import Run
from experiments.harness.train import Training

RANKING = ("perturbed", "interpolation", "soft-rank", "soft-rank-fenchel-young", "neuralsort", "pairwise")
ROWS, N = 32, 6
DRAW = torch.Generator().manual_seed(0)
X = torch.randn(ROWS, 4, generator=DRAW)
TRUE = X @ torch.randn(4, N, generator=DRAW)  # θ of a solver that maximises
SOLVER = TopK(N, 2)
Y = torch.from_numpy(SOLVER.solve(TRUE.double().numpy()).y).float()
GRID = ShortestPath.grid(3, negative="clamp")
PATHS = torch.from_numpy(GRID.solve((torch.rand(ROWS, 9, generator=DRAW) + 0.1).double().numpy()).y).reshape(ROWS, 3, 3)

Setup = tuple[nn.Module, Callable[[nn.Module, Tensor], Tensor], dict[str, Any]]


def network(out: int = N, *rest: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, out), *rest)


def fenchel_young(target: Tensor = Y, **kwargs: Any) -> Callable[[nn.Module, Tensor], Tensor]:
    loss = FenchelYoungLoss(Perturbed(TopK(N, 2, sense=kwargs.pop("sense", "max")), samples=8, **kwargs))
    return lambda model, x: loss(model(x), target)


def interpolation(lam: float = 10.0, normalise: bool = True, cut: bool = False) -> Any:
    layer = Interpolation(SOLVER, lam)

    def objective(model: nn.Module, x: Tensor) -> Tensor:
        theta = model(x)
        y = layer(theta / theta.abs().mean(1, keepdim=True) if normalise else theta)
        return (y.detach() * theta).sum() if cut else (y - Y).square().sum()

    return objective


class Constant(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(0, keepdim=True).expand_as(x) * 1.0


class Detached(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Any:
        return self.model(x).detach()


class Unused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = network(), nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Any:
        return self.used(x)


def paths(floor: float) -> Any:
    layer = FenchelYoungLoss(Perturbed(GRID, 0.3, 8))
    return lambda model, x: layer(model(x).reshape(-1, 3, 3) + floor, PATHS.float())


def divided(model: nn.Module, x: Tensor) -> Tensor:
    return fenchel_young()(model, x) / 0.0


def of_spearman(strength: float) -> Any:
    loss = SpearmanLoss(regularization_strength=strength)
    return lambda model, x: loss(model(x), TRUE)


SOUND: dict[str, Setup] = {
    "Fenchel–Young": (network(), fenchel_young(), {"true_costs": TRUE[:4], "solutions": Y[:4]}),
    "interpolation": (network(), interpolation(), {"true_costs": TRUE[:4], "solutions": Y[:4]}),
    "positive costs": (network(9, nn.Softplus()), paths(0.1), {}),
    "Spearman": (network(), of_spearman(1.0), {}),
}
SOUND["multiplicative, normalised"] = (
    network(),
    lambda model, x: fenchel_young(mode="multiplicative")(
        lambda x: model(x) / model(x).abs().mean(1, keepdim=True),  # type: ignore[arg-type]
        x,
    ),
    {},
)
PLANTED: dict[str, tuple[str, Setup]] = {
    "a detached theta": ("no gradient", (network(), lambda model, x: fenchel_young()(Detached(model), x), {})),
    "a part that is not used": ("no gradient", (Unused(), fenchel_young(), {})),
    "a cut after the layer": ("cut after the layer", (network(), interpolation(cut=True), {})),
    "a tiny λ": ("temperature too low", (network(), interpolation(1e-6), {})),
    "a tiny ε": ("temperature too low", (network(), of_spearman(1e-6), {})),
    "degree 0 on raw costs": ("scale", (network(), interpolation(normalise=False), {})),
    "degree 1 on raw costs": ("scale", (network(), fenchel_young(mode="multiplicative"), {})),
    "negative costs": ("clamped", (network(9), paths(0.0), {})),
    "one theta for all": ("equal solutions", (nn.Sequential(network(), Constant()), fenchel_young(), {})),
    "an entry that always wins": (
        "equal solutions",
        (network(), lambda model, x: fenchel_young()(lambda x: model(x) + torch.tensor([9.0, 9, 0, 0, 0, 0]), x), {}),  # type: ignore[arg-type]
    ),
    "the other sense": (
        "wrong sense", (network(), fenchel_young(sense="min"), {"true_costs": TRUE[:4], "solutions": Y[:4]})
    ),
    "targets in another order": (
        "not optimal", (network(), fenchel_young(), {"true_costs": TRUE[:8], "solutions": Y[:8].roll(1, 1)})
    ),
    "a division by zero": ("not finite", (network(), divided, {})),
    "dead units": ("zero gradient", (nn.Sequential(nn.Linear(4, N), nn.Threshold(1e9, 0.5)), fenchel_young(), {})),
}  # fmt: skip


def exchanged(model: nn.Module, x: Tensor) -> Tensor:
    loss = FenchelYoungLoss(Perturbed(GRID, 0.1, 8))
    return loss(model(x).reshape(-1, 3, 3) + 0.1, 1.0 - PATHS.float())


PLANTED["0 and 1 exchanged"] = ("infeasible targets", (network(9, nn.Softplus()), exchanged, {}))


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found_and_says_its_fix(name: str) -> None:
    kind, (model, objective, more) = PLANTED[name]
    found = audit(model, X, objective, **more)
    assert kind in [finding.kind for finding in found]
    assert all(finding.fix and finding.message and finding.where in str(finding) for finding in found)


@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_found_where_all_is_well(name: str) -> None:
    model, objective, more = SOUND[name]
    assert [str(finding) for finding in audit(model, X, objective, **more)] == []


@pytest.mark.parametrize("name", ["Fenchel–Young", "interpolation"])
def test_nothing_is_found_after_training_either(name: str) -> None:
    """Right answers have no gradient under interpolation, and that is no fault."""
    _, objective, more = SOUND[name]
    model = nn.Linear(4, N)
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    for _ in range(150):
        optimizer.zero_grad()
        torch.autograd.backward(objective(model, X))
        optimizer.step()
    assert [str(finding) for finding in audit(model, X, objective, **more)] == []


def test_the_model_stays_as_it_was() -> None:
    model = nn.Sequential(nn.Linear(4, N), nn.BatchNorm1d(N))
    model[0].weight.grad = kept = torch.ones(N, 4)
    state = torch.random.get_rng_state()
    audit(model, X, fenchel_young())
    assert model[0].weight.grad is kept
    assert model[0].bias.grad is None
    assert int(model[1].num_batches_tracked) == 0  # type: ignore[arg-type]
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("task", "method"),
    [
        *(("shortest-path", method) for method in ("perturbed", "interpolation", "two-stage")),
        *(("ranking", method) for method in RANKING),
    ],
)
def test_nothing_is_found_in_the_experiments(task: str, method: str) -> None:
    tiny = {"maps": 24, "validation_maps": 4, "test_maps": 4, "size": 6} if task == "shortest-path" else {
        "lists": 40, "test_lists": 8
    }  # fmt: skip
    run = Run(task, {"methods": [method], "epochs": 3, **tiny})
    training = Training(run, run.jobs(0)[0], run.load(0))
    batch = training.data.train.pick(torch.arange(16))

    def objective(model: nn.Module, batch: Any) -> Tensor:
        return training.method.objective(model(batch.inputs), batch)

    for _ in range(2):  # before the training, and after an epoch
        assert [str(finding) for finding in audit(training.network, batch, objective)] == []
        training.run_epoch()


def own(factor: Callable[[float], float] = lambda sigma: 1.0, scale: float = 1.0, samples: int = 4) -> Any:
    """A perturbed maximiser of a user's own, whose gradient is wrong by a factor, or its noise by a scale."""

    class Own(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, theta: Tensor, sigma: float) -> Tensor:
            noise = torch.randn(samples, *theta.shape, dtype=theta.dtype)
            rows = (theta + scale * sigma * noise).reshape(-1, N)
            y = torch.from_numpy(SOLVER.solve(rows.double().numpy()).y).to(theta).reshape(noise.shape)
            ctx.save_for_backward(y, noise)
            ctx.sigma = sigma
            return y.mean(0)

        @staticmethod
        def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor, None]:
            y, noise = ctx.saved_tensors
            gain = (y * outer[0]).sum(-1, keepdim=True)
            return factor(ctx.sigma) * (gain * noise).mean(0) / ctx.sigma, None

    return Own.apply


OWN: dict[str, tuple[str | None, Any]] = {
    "right": (None, own()),
    "missing": ("missing 1/σ", own(lambda sigma: sigma)),
    "doubled": ("doubled 1/σ", own(lambda sigma: 1 / sigma)),
    "of the other sense": ("wrong sign", own(lambda sigma: -1.0)),
    "of the other sense, and missing": ("missing 1/σ, wrong sign", own(lambda sigma: -sigma)),
    "a sum": ("missing 1/M", own(lambda sigma: 4.0)),
    "noise of another scale": ("other mean", own(scale=2.0)),
    "half": ("other size", own(lambda sigma: 0.65)),
}


@pytest.mark.parametrize("name", OWN)
def test_an_estimator_is_compared_with_the_reference(name: str) -> None:
    kind, estimator = OWN[name]
    torch.manual_seed(0)
    theta = torch.linspace(-0.5, 0.5, N)
    found = audit_estimator(estimator, SOLVER, theta, samples=4, estimates=10_000)
    assert [finding.kind for finding in found][:1] == ([] if kind is None else [kind])


def test_bad_sigma_at_which_nothing_shows() -> None:
    with pytest.raises(ValueError, match=r"sigma=1\.0 is so near 1"):
        audit_estimator(own(), SOLVER, torch.zeros(N), 1.0)
