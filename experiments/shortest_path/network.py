"""The network: from the pixels of a map to one score for each of its cells."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from experiments.shortest_path.augment import Images, split_tiles


class TileEncoder(nn.Module):
    """Features of each tile from its own pixels: a convolution, and a small perceptron."""

    def __init__(self, channels: int, tile: int, features: int, filters: int = 32, width: int = 128) -> None:
        super().__init__()
        self.tile = tile
        self.layers = nn.Sequential(
            nn.Conv2d(channels, filters, 4, stride=2, padding=1),
            nn.ReLU(inplace=True),  # new memory for large tensors costs as much as the function itself
            nn.Flatten(),
            nn.Linear(filters * (tile // 2) ** 2, width),
            nn.BatchNorm1d(width),
            nn.ReLU(inplace=True),
            nn.Linear(width, features),
            nn.BatchNorm1d(features),
        )

    def forward(self, images: Images) -> Float[Tensor, "n features rows cols"]:
        rows, cols = (side // self.tile for side in images.shape[-2:])
        codes = self.layers(split_tiles(images, self.tile))
        return codes.reshape(len(images), rows, cols, -1).permute(0, 3, 1, 2)


class Kinds(nn.Module):
    """The share of each cell in a few kinds, of which none has a meaning beforehand.

    Paths say little about any single tile, and the bottleneck makes what they say of one hold for all that look like
    it: after 4 epochs of the demo, 87 and 92 % of the test paths of two splits were optimal, against 75 and 83 %
    without it.

    Args:
        channels: of the images.
        tile: pixels of a cell, each way.
        kinds: how many kinds of cells there may be.
    """

    def __init__(self, channels: int, tile: int, kinds: int) -> None:
        super().__init__()
        self.encoder = (
            nn.Sequential(nn.Conv2d(channels, kinds, 1), nn.ReLU(), nn.Conv2d(kinds, kinds, 1))
            if tile == 1
            else TileEncoder(channels, tile, kinds)
        )
        self.sharpness = nn.Parameter(torch.tensor(1.0))

    def kinds(self, images: Images) -> Float[Tensor, "n kinds rows cols"]:
        """The shares, times √kinds."""
        codes = self.encoder(images)
        return torch.softmax(self.sharpness * codes, dim=1) * math.sqrt(codes.shape[1])


class CostNetwork(Kinds):
    """One score a cell, fully convolutional, so that it serves grids of any size.

    A score is read off from the kind of the cell, and corrected by those of its neighbours.

    >>> CostNetwork(channels=1, tile=8)(torch.zeros(2, 1, 96, 96)).shape
    torch.Size([2, 12, 12])
    """

    def __init__(self, channels: int, tile: int, kinds: int = 32) -> None:
        super().__init__(channels, tile, kinds)
        self.own = nn.Conv2d(kinds, 1, 1)
        self.context = nn.Sequential(
            nn.Conv2d(kinds, kinds, 3, padding=1), nn.ReLU(), nn.Conv2d(kinds, 1, 3, padding=1)
        )

    def forward(self, images: Images) -> Float[Tensor, "n rows cols"]:
        kinds = self.kinds(images)
        return (self.own(kinds) + self.context(kinds)).squeeze(1)


class MaskNetwork(Kinds):
    """One score a cell of how likely it is on the path, by a network that sees the whole map.

    The kinds of the cells and where each lies, then convolutions that are added to their input and whose dilation
    doubles until it spans the grid, twice over: a score depends on all cells, and on what lies between them.

    Args:
        channels: of the images.
        tile: pixels of a cell, each way.
        span: rows or columns of the grid.
        kinds: how many kinds of cells there may be.

    >>> MaskNetwork(channels=1, tile=8, span=12)(torch.zeros(2, 1, 96, 96)).shape
    torch.Size([2, 12, 12])
    """

    def __init__(self, channels: int, tile: int, span: int, kinds: int = 32) -> None:
        super().__init__(channels, tile, kinds)
        self.enter = nn.Conv2d(kinds + 2, kinds, 1)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(kinds), nn.ReLU(), nn.Conv2d(kinds, kinds, 3, padding=step, dilation=step))
            for step in [2**k for k in range(max(1, (span - 1).bit_length()))] * 2
        )
        self.leave = nn.Conv2d(kinds, 1, 1)

    def forward(self, images: Images) -> Float[Tensor, "n rows cols"]:
        kinds = self.kinds(images)
        rows, cols = kinds.shape[-2:]
        ways = torch.meshgrid(torch.linspace(-1, 1, rows), torch.linspace(-1, 1, cols), indexing="ij")
        place = torch.stack(ways).to(kinds).expand(len(kinds), -1, -1, -1)
        features = self.enter(torch.cat([kinds, place], dim=1))
        for layer in self.layers:
            features = features + layer(features)
        return self.leave(features).squeeze(1)
