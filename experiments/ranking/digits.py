"""Sorting handwritten numbers: images of several digits, supervised by the order of their values alone.

The protocol of Grover et al. (2019), "Stochastic optimization of sorting networks via continuous relaxations", section
6.1, on the scans of scikit-learn (`digits`) or on MNIST digits of a file (`mnist:PATH`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure
from numpy import ndarray
from torch import Tensor, nn

from experiments.digits import Pool, pools, read_mnist, scans
from experiments.harness.errors import InputError
from experiments.harness.table import Column, Row
from experiments.harness.task import DataSet, Learned
from experiments.ranking.lists import Lists, Source
from experiments.shortest_path.augment import noise, warp_tiles
from experiments.shortest_path.network import TileEncoder

PIXEL_NOISE = 0.1
SHOWN = 3  # lists in the picture
TEMPERATURES = {
    **dict.fromkeys(("soft-rank.epsilon", "lapsum.epsilon", "pairwise.epsilon"), 30.0),
    **dict.fromkeys(("perturbed.sigma", "perturbed-layer.sigma"), 30.0),
    "adjacent-cauchy.epsilon": 30.0,
    **dict.fromkeys(("soft-rank-kl.epsilon", "neuralsort.epsilon", "pairwise-cauchy.epsilon"), 10.0),
    "interpolation.lam": 3.0,
    "interpolation.loss": "hamming",
}
SWEPT = "soft-rank", "perturbed", "perturbed-layer", "interpolation"


class NumberNetwork(nn.Module):
    """Images of numbers to scores: the same small network reads each digit, and a second one makes a score of them.

    Each digit is first assigned, softly, to one of a few kinds, none of which has a meaning beforehand, as the tiles of
    `CostNetwork`.

    Args:
        side: pixels of a digit each way.
        places: digits of a number.
        outputs: numbers for each image; 1 is a score, (lists, n).

    >>> NumberNetwork(8, 4)(torch.zeros(2, 5, 1, 8, 32)).shape
    torch.Size([2, 5])
    """

    def __init__(self, side: int, places: int, outputs: int = 1, kinds: int = 32, width: int = 64) -> None:
        super().__init__()
        self.kinds, self.outputs = kinds, outputs
        self.encoder = TileEncoder(1, side, kinds)
        self.sharpness = nn.Parameter(torch.tensor(1.0))
        self.number = nn.Sequential(nn.Linear(places * kinds, width), nn.ReLU(inplace=True), nn.Linear(width, outputs))

    def forward(self, images: Float[Tensor, "lists n 1 height width"]) -> Float[Tensor, "lists n *outputs"]:
        lists, n = images.shape[:2]
        codes = self.encoder(images.flatten(0, 1)).squeeze(2)  # (images, kinds, places)
        kind = torch.softmax(self.sharpness * codes, dim=1) * math.sqrt(self.kinds)
        scores = self.number(kind.flatten(1)).reshape(lists, n, self.outputs)
        return scores.squeeze(-1) if self.outputs == 1 else scores


class PaperNetwork(nn.Module):
    """The network of Grover et al. (2019), which reads the image of a number as a whole.

    >>> PaperNetwork(8, 4)(torch.zeros(2, 5, 1, 8, 32)).shape
    torch.Size([2, 5])
    """

    def __init__(self, side: int, places: int, outputs: int = 1) -> None:
        super().__init__()
        self.outputs = outputs
        self.layers = nn.Sequential(
            *(nn.Conv2d(1, 32, 5, padding=2), nn.MaxPool2d(2), nn.ReLU(inplace=True)),
            *(nn.Conv2d(32, 64, 5, padding=2), nn.MaxPool2d(2), nn.ReLU(inplace=True)),
            *(nn.Flatten(), nn.Linear(64 * places * (side // 4) ** 2, 64), nn.ReLU(inplace=True)),
            nn.Linear(64, outputs),
        )
        # this, and the pooling before the ReLU, give the same numbers in two thirds of the time
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Float[Tensor, "lists n 1 height width"]) -> Float[Tensor, "lists n *outputs"]:
        scores = self.layers(images.flatten(0, 1)).reshape(*images.shape[:2], self.outputs)
        return scores.squeeze(-1) if self.outputs == 1 else scores


NETWORKS: dict[str, type[nn.Module]] = {"tiles": NumberNetwork, "paper": PaperNetwork}


class Digits(Source):
    """Lists of numbers."""

    methods: ClassVar[tuple[str, ...]] = (
        *("lapsum", "soft-rank", "neuralsort", "perturbed", "interpolation"),
        *("pairwise", "adjacent-cauchy", "digits"),
    )
    target: ClassVar[str] = "exact"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("exact", "all in order", "{:.1%}"),
        Column("places", "right places", "{:.1%}"),
        Column("spearman", "Spearman", "{:.3f}"),
    )
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "demo": {"epochs": 8, "batch": 32, "lists": 3000, **TEMPERATURES},
        "sweep": {"methods": SWEPT, "epochs": 5, "batch": 32, "lists": 1000, **TEMPERATURES},
        "full": {"epochs": 8, "batch": 32, "lists": 4000, **TEMPERATURES},
    }

    def describe(self) -> str:
        where = "MNIST" if self.path.name else "scikit-learn's digits"
        return f"Lists of {self.options.length} numbers of {self.options.places} digits, {where}: test lists"

    def load(self, split: int) -> DataSet[Lists]:
        if self.options.length > 10**self.options.places:
            raise InputError(
                f"length={self.options.length}: there are but {10**self.options.places} numbers of "
                f"{self.options.places} digits; choose more --places"
            )
        images, labels = read_mnist(self.path) if self.path.name else scans()
        counts = (self.options.lists, self.options.test_lists, self.options.test_lists)
        parts = [
            draw_lists(pool, count, self.options.length, self.options.places, (split, number))
            for number, (pool, count) in enumerate(zip(pools(images, labels, split), counts, strict=True))
        ]
        return DataSet(*parts, augment=self._augment)

    def _augment(self, images: Tensor) -> Tensor:
        flat = noise(warp_tiles(images.flatten(0, 1), images.shape[-2]), PIXEL_NOISE)
        return flat.reshape(images.shape)

    def network(self, examples: Lists) -> nn.Module:
        return self._network(examples, 1)

    def classifier(self, examples: Lists) -> nn.Module:
        """The same network with ten logits for each digit."""
        return self._network(examples, 10 * self.options.places)

    def _network(self, examples: Lists, outputs: int) -> nn.Module:
        return NETWORKS[self.options.reader](examples.inputs.shape[-2], self.options.places, outputs)

    def score(self, ranks: Tensor, examples: Lists) -> dict[str, float]:
        right = (ranks == examples.solutions).double()
        a, b = (part.double() - part.double().mean(1, keepdim=True) for part in (ranks, examples.solutions))
        correlation = (a * b).sum(1) / (a.square().sum(1) * b.square().sum(1)).sqrt()
        return {
            "exact": float(right.prod(1).mean()),
            "places": float(right.mean()),
            "spearman": float(correlation.mean()),
        }

    def pictures(
        self, folder: Path, metrics: Sequence[Row], rows: Sequence[Row], examples: Lists, learned: Sequence[Learned]
    ) -> list[str]:
        figure = Figure(
            figsize=(1.5 * examples.inputs.shape[1], 0.62 * SHOWN * len(learned) + 0.4), layout="constrained"
        )
        axes = figure.subplots(SHOWN * len(learned), examples.inputs.shape[1], squeeze=False)
        for one, first in zip(learned, range(0, len(axes), SHOWN), strict=True):
            for row in range(SHOWN):
                for axis, item in zip(axes[first + row], one.solutions[row].argsort().tolist(), strict=True):
                    axis.imshow(examples.inputs[row, item, 0], cmap="gray_r", vmin=0, vmax=1)
                    axis.set_xticks([])
                    axis.set_yticks([])
                    right = bool(one.solutions[row, item] == examples.solutions[row, item])
                    for spine in axis.spines.values():
                        spine.set_color("0.8" if right else "tab:red")
                        spine.set_linewidth(1 if right else 2)
            axes[first][0].set_title(one.label(), loc="left", fontsize=9)
        figure.savefig(folder / "sorted.png", dpi=150)
        return ["sorted.png"]


class Mnist(Digits):
    """The digits of a csv file."""

    takes_path: ClassVar[bool | None] = True


def draw_lists(pool: Pool, count: int, length: int, places: int, seed: tuple[int, ...]) -> Lists:
    """Lists of different numbers, each of random digits of a pool."""
    rng = np.random.default_rng(seed)
    scale = 10 ** np.arange(places)[::-1]
    numbers = np.empty((count, length), dtype=np.int64)
    for row in range(count):
        numbers[row] = rng.choice(10**places, length, replace=False)
    digits = numbers[..., None] // scale % 10
    choice = np.empty_like(digits)
    for digit in range(10):
        here = digits == digit
        choice[here] = rng.choice(np.flatnonzero(pool.labels == digit), here.sum())
    ranks = numbers.argsort(1).argsort(1) + 1.0
    return Lists(
        torch.from_numpy(_side_by_side(pool.images[choice])).float() / 255,
        torch.from_numpy(ranks).float(),
        digits=torch.from_numpy(digits),
    )


def _side_by_side(tiles: UInt8[ndarray, "lists n places high wide"]) -> UInt8[ndarray, "lists n 1 high width"]:
    lists, n, places, high, wide = tiles.shape
    return np.ascontiguousarray(tiles.transpose(0, 1, 3, 2, 4)).reshape(lists, n, 1, high, places * wide)
