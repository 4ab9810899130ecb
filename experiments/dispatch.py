"""Predict the demand of a dispatch of power plants, a right-hand side, by `FixAndDifferentiate` and by two-stage.

    python -m experiments.dispatch                # the table of experiments/README.md
    python -m experiments.dispatch --seeds 10

Plants k have a fixed price when they are on (uₖ, integer), a price for each unit they make (pₖ) and a capacity. A plan
for demand d̂ minimises the price over Σ pₖ ≥ d̂, pₖ ≤ capacityₖ uₖ. When the true demand d is known, the recourse is to
buy what is missing at the price of shortage; what is too much is lost. The post-hoc regret is the price of plan and
recourse minus that of the plan for d, over the latter. Demand depends on features, with noise.

All train one linear model by Adam. Two-stage: squared error. Scaled: two-stage times the factor that is best on
validation examples. Quantile: pinball loss at 1 − (mean price of a unit) / (price of shortage). Fixed: the price of
plan and recourse itself, through the program; it starts at the two-stage model, and has a sixth of the steps more.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from statistics import mean, stdev

import torch
from torch import Tensor, nn

from combdiff.layers import FixAndDifferentiate
from combdiff.solvers import MixedIntegerPrograms

PLANTS, SHORTAGE = 4, 8.0
FIXED = torch.tensor([4.0, 2.0, 1.0, 0.5]).double()
UNIT = torch.tensor([0.5, 1.0, 2.0, 3.0]).double()
CAPACITY = torch.tensor([8.0, 5.0, 4.0, 9.0]).double()
QUANTILE = 1.0 - float(UNIT.mean()) / SHORTAGE
PRICES = torch.cat([FIXED, UNIT])
FACTORS = [1.0, 1.1, 1.2, 1.3, 1.4]


def plans(layer: FixAndDifferentiate, demand: Tensor) -> Tensor:
    """(u, p) for each demand; rows −Σ p ≤ −d and p − capacity u ≤ 0."""
    A = torch.zeros(1 + PLANTS, 2 * PLANTS, dtype=torch.float64)
    A[0, PLANTS:] = -1.0
    A[1:, :PLANTS], A[1:, PLANTS:] = -torch.diag(CAPACITY), torch.eye(PLANTS)
    b = torch.cat([-demand.unsqueeze(1), demand.new_zeros(len(demand), PLANTS)], 1)
    found: Tensor = layer(PRICES.expand(len(demand), -1), A, b)
    return found


def price(plan: Tensor, demand: Tensor) -> Tensor:
    """Of plan and recourse."""
    return (plan * PRICES).sum(1) + SHORTAGE * (demand - plan[:, PLANTS:].sum(1)).clamp(min=0.0)


def examples(count: int, weights: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Features, and demands from about 4 to 14: not linear in the features, with noise that grows with the demand."""
    x = torch.randn(count, 5, generator=generator, dtype=torch.float64)
    noise = torch.rand(count, generator=generator, dtype=torch.float64) - 0.5
    return x, ((torch.sigmoid(x @ weights) * 8.0 + 4.0) * (1.0 + 0.6 * noise)).clamp(max=float(CAPACITY.sum()))


def predict(model: nn.Module, x: Tensor) -> Tensor:
    """Demands that can be met."""
    found: Tensor = model(x).squeeze(1).clamp(0.0, float(CAPACITY.sum()) - 0.1)
    return found


def train(model: nn.Module, x: Tensor, steps: int, lr: float, loss: Callable[[Tensor, Tensor], Tensor]) -> nn.Module:
    """Adam on loss(predicted demands, numbers of the examples), in batches of 20."""
    optimizer, generator = torch.optim.Adam(model.parameters(), lr), torch.Generator().manual_seed(0)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = lr * (1.0 - step / steps)
        rows = torch.randint(len(x), (20,), generator=generator)
        optimizer.zero_grad()
        value = loss(predict(model, x[rows]), rows)
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return model


def study(seed: int, steps: int) -> dict[str, float]:
    """Test regrets."""
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(5, generator=generator, dtype=torch.float64)
    parts = [examples(count, weights, generator) for count in (200, 50, 100)]
    (x, demand), validation, test = parts
    layer = FixAndDifferentiate(MixedIntegerPrograms(
        2 * PLANTS, (0, [*[1.0] * PLANTS, *CAPACITY.tolist()]), [1] * PLANTS + [0] * PLANTS, backend="highs"
    ))  # fmt: skip

    def paid(guess: Tensor, true: Tensor) -> float:
        with torch.no_grad():
            return float(price(plans(layer, guess), true).sum())

    torch.manual_seed(seed)
    start = nn.Linear(5, 1).double()
    with torch.no_grad():
        start.bias.fill_(float(demand.mean()))
    models = {
        "two-stage": train(copy.deepcopy(start), x, steps, 0.05, lambda d, rows: ((d - demand[rows]) ** 2).mean()),
        "quantile": train(copy.deepcopy(start), x, steps, 0.05, lambda d, rows: pinball(demand[rows] - d).mean()),
    }
    models["fixed"] = train(
        copy.deepcopy(models["two-stage"]), x, steps // 6, 0.05,
        lambda d, rows: price(plans(layer, d), demand[rows]).mean(),
    )  # fmt: skip
    with torch.no_grad():
        guess, seen = (predict(models["two-stage"], part[0]) for part in (test, validation))
        factor = min(FACTORS, key=lambda one: paid((one * seen).clamp(max=float(CAPACITY.sum())), validation[1]))
        best = paid(test[1], test[1])
        found = {name: paid(predict(model, test[0]), test[1]) for name, model in models.items()}
    found["scaled"] = paid((factor * guess).clamp(max=float(CAPACITY.sum())), test[1])
    return {name: total / best - 1.0 for name, total in found.items()}


def pinball(missing: Tensor) -> Tensor:
    """The loss of a quantile."""
    return torch.maximum(QUANTILE * missing, (QUANTILE - 1.0) * missing)


def main() -> None:
    """Print the mean regret of each method over seeds, and how far it is from two-stage on the same ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=240, help="of two-stage; a sixth of them through the program")
    given = parser.parse_args()
    torch.set_num_threads(1)
    runs = [study(seed, given.steps) for seed in range(given.seeds)]
    print("| | post-hoc regret | − two-stage |\n|---|---|---|")
    for name in ("two-stage", "scaled", "quantile", "fixed"):
        values = [100.0 * run[name] for run in runs]
        away = [value - 100.0 * run["two-stage"] for value, run in zip(values, runs, strict=True)]
        error = stdev(away) / len(away) ** 0.5 if len(away) > 1 else 0.0
        print(f"| {name} | {mean(values):.2f} % | {mean(away):+.2f} ± {error:.2f} |")


if __name__ == "__main__":
    main()
