"""The network: from the pixels of a map to one score for each of its cells."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from experiments.shortest_path.augment import split_tiles


class TileEncoder(nn.Module):
    """Features of each tile from its own pixels: a convolution, and a small perceptron."""

    def __init__(self, channels: int, tile: int, features: int, filters: int = 32, width: int = 128) -> None:
        super().__init__()
        self.tile = tile
        self.layers = nn.Sequential(
            nn.Conv2d(channels, filters, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(filters * (tile // 2) ** 2, width),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Linear(width, features),
            nn.BatchNorm1d(features),
        )

    def forward(self, images: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n features rows cols"]:
        rows, cols = (side // self.tile for side in images.shape[-2:])
        codes: Tensor = self.layers(split_tiles(images, self.tile))
        return codes.reshape(len(images), rows, cols, -1).permute(0, 3, 1, 2)


class PixelEncoder(nn.Module):
    """Features of maps that have one pixel a cell."""

    def __init__(self, channels: int, features: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(channels, features, 1), nn.ReLU(), nn.Conv2d(features, features, 1))

    def forward(self, images: Float[Tensor, "n channels rows cols"]) -> Float[Tensor, "n features rows cols"]:
        codes: Tensor = self.layers(images)
        return codes


class CostNetwork(nn.Module):
    """One score a cell, fully convolutional, so that it serves grids of any size.

    A linear read-out of the cell's own features, and a correction that sees its neighbours: a path cannot
    tell a cheap tile among dear ones from its surroundings, so context helps.

    Args:
        channels: of the images.
        tile: pixels of a cell, each way.
        features: of a cell.

    >>> import torch
    >>> CostNetwork(channels=1, tile=8)(torch.zeros(2, 1, 96, 96)).shape
    torch.Size([2, 12, 12])
    """

    def __init__(self, channels: int, tile: int, features: int = 32) -> None:
        super().__init__()
        self.encoder = PixelEncoder(channels, features) if tile == 1 else TileEncoder(channels, tile, features)
        self.own = nn.Conv2d(features, 1, 1)
        self.context = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(features, features, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(features, 1, 3, padding=1),
        )

    def forward(self, images: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n rows cols"]:
        codes = self.encoder(images)
        scores: Tensor = self.own(codes) + self.context(codes)
        return scores.squeeze(1)
