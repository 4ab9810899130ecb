"""A training step of `SatNet` beside the authors' own code, on the same boards, sizes and thread.

    git clone https://github.com/locuslab/SATNet FOLDER && cd FOLDER && python setup.py build_ext --inplace
    COMBDIFF_DATA=... python -m experiments.benchmarks.satnet FOLDER

9×9 Sudokus as symbols, m = 600, 300 hidden variables, vectors of 32 numbers (as the authors' code has it), at most 40
sweeps, float32, one thread; forward and backward of one batch in turns, and how well both have learned after the same
steps of Adam (2e-3, batches of 40) on the same boards.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy

from experiments.benchmarks.data import data_folder
from experiments.benchmarks.timing import race
from experiments.sat.boards import as_one_hot
from experiments.sat.puzzles import PuzzleFile
from experiments.sat.rules import RuleNetwork, Rules9

BATCH, RATE = 40, 2e-3


class Authors(nn.Module):
    """The authors' layer as a `RuleNetwork`."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, inputs: Tensor) -> Tensor:
        given = (inputs.amax(-1, keepdim=True) > 0).expand_as(inputs).int()
        found: Tensor = self.layer(inputs.flatten(1), given.flatten(1).contiguous())
        return found.view_as(inputs)


def trained(network: nn.Module, inputs: Tensor, wanted: Tensor) -> Callable[[], float]:
    """What takes one step on the next batch, and returns the loss before it."""
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    batches = zip(inputs.split(BATCH), wanted.split(BATCH), strict=True)  # type: ignore[no-untyped-call]

    def step() -> float:
        images, truth = next(batches)
        loss = binary_cross_entropy(network(images), truth)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        return float(loss.detach())

    return step


def main() -> None:
    """Time both, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where `satnet` is built")
    parser.add_argument("--level", default="easy", help="whose puzzles: NAME.txt of the folder sudoku (default easy)")
    parser.add_argument("--rounds", type=int, default=10, help="batches of 40 boards (default 10)")
    given = parser.parse_args()
    sys.path.insert(0, str(given.folder))
    authors = import_module("satnet")
    torch.set_num_threads(1)
    ((puzzles, solutions),) = PuzzleFile(data_folder("sudoku") / f"{given.level}.txt").draw((BATCH * given.rounds,), 0)
    inputs, wanted = as_one_hot(puzzles), as_one_hot(solutions)
    m, aux, k = Rules9.size
    torch.manual_seed(0)
    networks = {"combdiff": RuleNetwork(9, m, aux, k), "satnet": Authors(authors.SATNet(9**3, m, aux))}
    with torch.no_grad():
        networks["combdiff"](inputs[:1])  # the kernels are ready
    losses: dict[str, list[float]] = {name: [] for name in networks}
    steps = {name: trained(network, inputs, wanted) for name, network in networks.items()}
    seconds = race(
        {name: lambda name=name: losses[name].append(steps[name]()) for name in networks},
        rounds=given.rounds - 1,
        warm_up=1,
        by=min,
    )
    for name in networks:
        first, last = losses[name][0], losses[name][-1]
        print(f"{name}: {100 * seconds[name] / BATCH:.2f} s for 100 boards; loss {first:.3f} → {last:.3f}")
    print(f"{seconds['satnet'] / seconds['combdiff']:.1f} times as fast as the authors' code")


if __name__ == "__main__":
    main()
