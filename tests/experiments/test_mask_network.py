"""The rival without a solver: what its network sees, and which path is taken for its mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.__main__ import main
from experiments.harness.command import configure
from experiments.harness.run import Job
from experiments.harness.run_folder import RunFolder
from experiments.harness.train import Training
from experiments.shortest_path.network import CostNetwork, MaskNetwork
from experiments.shortest_path.sizes import main as sizes
from experiments.shortest_path.sizes import rows_of


def test_a_score_depends_on_every_cell() -> None:
    """Of the last corner of a map: the pixels of the first one; a cost is that of a cell and its neighbours."""
    torch.manual_seed(0)
    for network, reaches in ((MaskNetwork(1, 8, span=9), True), (CostNetwork(1, 8), False)):
        image = torch.rand(1, 1, 72, 72, requires_grad=True)
        (slope,) = torch.autograd.grad(network.eval()(image)[0, -1, -1], image)
        assert bool((slope[..., :8, :8] != 0).any()) == reaches


def test_the_path_is_the_one_whose_cells_are_likeliest() -> None:
    """Against all paths of 3×3 cells, each to any of its 8 neighbours."""
    run = configure(
        "shortest-path", {"methods": ["mask-network"], "size": 3, "maps": 8, "validation_maps": 20, "test_maps": 1}
    )
    data = run.load(0)
    training = Training(run, Job(0, "mask-network", ""), data)
    cells = [(row, col) for row in range(3) for col in range(3)]
    steps = [(a, b) for a in range(9) for b in range(9) if a != b and np.abs(np.subtract(cells[a], cells[b])).max() < 2]
    walks = simple_paths(steps)
    scores = 3 * torch.randn(20, 3, 3, generator=torch.Generator().manual_seed(0)).double()
    maps = data.validation.pick(slice(20))
    found = run.task.solve(training.method.costs(scores), maps).flatten(1)
    logarithms = scores.sigmoid().log().flatten(1)
    assert torch.allclose((found * logarithms).sum(1), (walks @ logarithms.T).max(0).values)


def simple_paths(steps: list[tuple[int, int]]) -> torch.Tensor:
    """The cells of every path from the first of 9 cells to the last that meets no cell twice."""
    found: list[set[int]] = []

    def walk(path: list[int]) -> None:
        if path[-1] == 8:
            found.append(set(path))
            return
        for a, b in steps:
            if a == path[-1] and b not in path:
                walk([*path, b])

    walk([0])
    return torch.tensor([[float(cell in path) for cell in range(9)] for path in found]).double()


def test_scores_on_other_sizes(tmp_path: Path, no_pictures: None, capsys: pytest.CaptureFixture[str]) -> None:
    """On maps of its own size a network has the scores of its run; on larger ones it has some."""
    folder = tmp_path / "run"
    words = ["--size", "4", "--maps", "32", "--validation-maps", "20", "--test-maps", "20", "--epochs", "2"]
    assert main(["shortest-path", *words, "--method", "two-stage", "--workers", "1", "--out", str(folder)]) == 0
    (own, larger) = rows_of(RunFolder(folder), [4, 6])
    summary = (folder / "summary.csv").read_text().splitlines()
    row = dict(zip(summary[0].split(","), summary[1].split(","), strict=True))
    assert [own["optimal"], own["ratio"]] == [float(row["optimal"]), float(row["ratio"])]
    assert own["validation"] == float(row["validation"])
    assert larger["size"] == 6
    assert larger["ratio"] >= 1.0
    capsys.readouterr()
    assert sizes([str(folder), "--sizes", "1"]) == 2
    assert sizes([str(tmp_path)]) == 2
    assert "config.json" in capsys.readouterr().err
