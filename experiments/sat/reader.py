"""The networks: one that reads each clue by itself, and one that fills in the board without any solver."""

from __future__ import annotations

import itertools
import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from experiments.shortest_path.augment import noise, warp_tiles
from experiments.shortest_path.network import TileEncoder

PIXEL_NOISE = 0.1

Cells = Float[Tensor, "boards n n side side"]


def has_clue(inputs: Cells) -> Bool[Tensor, "boards n n"]:
    """Which cells are not blank."""
    return (inputs != 0).flatten(3).any(-1)


def augment(inputs: Cells) -> Cells:
    """Another handwriting for each clue; blanks stay blank."""
    shown = has_clue(inputs)
    changed = torch.zeros_like(inputs)
    changed[shown] = noise(warp_tiles(inputs[shown][:, None], inputs.shape[-1]), PIXEL_NOISE)[:, 0]
    return changed


class ClueReader(nn.Module):
    """A score for each digit in each cell with a clue, from its image alone; 0 in blank cells.

    As in `NumberNetwork`, an image is first assigned, softly, to one of a few kinds without a meaning of their own.

    Args:
        n: digits, and cells of a row.
        side: pixels of a cell each way.

    >>> ClueReader(4, 8)(torch.rand(2, 4, 4, 8, 8)).shape
    torch.Size([2, 4, 4, 4])
    """

    def __init__(self, n: int, side: int, kinds: int = 32) -> None:
        super().__init__()
        self.kinds = kinds
        self.encoder = TileEncoder(1, side, kinds)
        self.sharpness = nn.Parameter(torch.tensor(1.0))
        self.digits = nn.Linear(kinds, n)

    def codes(self, tiles: Float[Tensor, "tiles side side"]) -> Float[Tensor, "tiles kinds"]:
        """What the images look like."""
        if not len(tiles):
            return tiles.new_zeros(0, self.kinds)
        return torch.softmax(self.sharpness * self.encoder(tiles[:, None])[..., 0, 0], dim=1) * math.sqrt(self.kinds)

    def forward(self, inputs: Cells) -> Float[Tensor, "boards n n digits"]:
        shown = has_clue(inputs)
        scores = inputs.new_zeros(*shown.shape, self.digits.out_features)
        scores[shown] = self.digits(self.codes(inputs[shown]))
        return scores


class BoardNetwork(ClueReader):
    """Convolutions over the codes of the cells: a score for each digit in each cell, without the rules.

    Args:
        n: digits, and cells of a row.
        side: pixels of a cell each way.
        layers: convolutions of 3×3 cells; the last cell is seen from the first one by n of them.
        blanks_only: scores of cells with a clue are 0, for they are not trained.
    """

    def __init__(self, n: int, side: int, layers: int, blanks_only: bool, width: int = 64) -> None:
        super().__init__(n, side)
        sizes = [self.kinds + 1] + [width] * layers
        parts = [
            part
            for before, after in itertools.pairwise(sizes)
            for part in (nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(inplace=True))
        ]
        self.board = nn.Sequential(*parts)
        self.digits = nn.Linear(width, n)
        self.blanks_only = blanks_only

    def forward(self, inputs: Cells) -> Float[Tensor, "boards n n digits"]:
        shown = has_clue(inputs)
        seen = inputs.new_zeros(*shown.shape, self.kinds + 1)
        seen[..., -1] = shown.to(inputs.dtype)
        seen[shown] = torch.cat([self.codes(inputs[shown]), seen[shown][:, -1:]], dim=1)
        scores: Tensor = self.digits(self.board(seen.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))
        return scores.masked_fill(shown[..., None], 0.0) if self.blanks_only else scores
