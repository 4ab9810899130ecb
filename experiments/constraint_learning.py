"""Learn the constraints of an integer program from costs and solutions, by `LinearConstraints` (CombOptNet).

    python -m experiments.constraint_learning                      # five seeds of six sizes
    python -m experiments.constraint_learning --variables 2 --constraints 1 --seeds 10

Hidden constraints A y ≤ b cut a box of integers; training examples are random costs c with the solution y of the
hidden program. A layer with constraints drawn in the same way, anew, is trained to give these y (squared distance), and
so is a network from c to y, rounded, with the same examples and ten times the steps. Test examples have other costs.
"""

from __future__ import annotations

import argparse
from statistics import mean, stdev

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from combdiff.layers import LinearConstraints
from combdiff.solvers import MixedIntegerPrograms

BOX = (-3.0, 3.0)


def constraints(m: int, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Unit rows A (m, n), and b: the origin is inside, 0.5 to 2 from each border."""
    rows = torch.randn(m, n, generator=generator, dtype=torch.float64)
    return normalize(rows, dim=1), torch.rand(m, generator=generator, dtype=torch.float64) * 1.5 + 0.5


class Learned(nn.Module):
    """Costs to solutions, under constraints that are parameters."""

    def __init__(self, layer: LinearConstraints, A: Tensor, b: Tensor) -> None:
        super().__init__()
        self.layer, self.A, self.b = layer, nn.Parameter(A.clone()), nn.Parameter(b.clone())

    def forward(self, costs: Tensor) -> Tensor:
        found: Tensor = self.layer(costs, normalize(self.A, dim=1), self.b)
        return found


def train(model: nn.Module, costs: Tensor, y: Tensor, epochs: int, lr: float, batch: int = 10, seed: int = 0) -> None:
    """Adam on the squared distance."""
    optimizer, generator = torch.optim.Adam(model.parameters(), lr), torch.Generator().manual_seed(seed)
    for epoch in range(epochs):
        for group in optimizer.param_groups:
            group["lr"] = lr * (1.0 - epoch / epochs)
        for rows in torch.randperm(len(costs), generator=generator).reshape(-1, batch):
            optimizer.zero_grad()
            ((model(costs[rows]) - y[rows]) ** 2).sum(1).mean().backward()
            optimizer.step()


def accuracy(model: nn.Module, costs: Tensor, y: Tensor) -> float:
    """The share of rows whose every entry is right."""
    with torch.no_grad():
        return float((model(costs).round() == y).all(1).double().mean())


def study(seed: int, m: int, n: int, examples: int = 100, epochs: int = 20) -> dict[str, float]:
    """Test accuracies: of the box alone, of the constraints at the start and at the end, of the network."""
    generator = torch.Generator().manual_seed(seed)
    layer = LinearConstraints(MixedIntegerPrograms(n, BOX, backend="highs"), tau=0.5, fallback=0)
    costs = normalize(torch.randn(2 * examples, n, generator=generator, dtype=torch.float64), dim=1)
    y = layer(costs, *constraints(m, n, generator))
    seen, other = (costs[:examples], y[:examples]), (costs[examples:], y[examples:])
    model = Learned(layer, *constraints(m, n, generator))
    found = {"box": accuracy(lambda c: torch.where(c > 0, *BOX), *other), "start": accuracy(model, *other)}  # type: ignore[arg-type]
    train(model, *seen, epochs, lr=0.05, seed=seed)
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(n, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, n)).double()
    train(network, *seen, 10 * epochs, lr=0.005, seed=seed)
    return {**found, "network": accuracy(network, *other), "learned": accuracy(model, *other)}


def main() -> None:
    """Print a row for each size: means over seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variables", type=int, nargs="+", default=[2, 3])
    parser.add_argument("--constraints", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print("| variables | constraints | box alone | at the start | network | LinearConstraints |")
    print("|---|---|---|---|---|---|")
    for n in given.variables:
        for m in given.constraints:
            runs = [study(seed, m, n) for seed in range(given.seeds)]
            cells = []
            for name in ("box", "start", "network", "learned"):
                values = [100.0 * run[name] for run in runs]
                cells.append(f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else ""))
            print(f"| {n} | {m} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
