"""Random changes of training images that leave their meaning as it is; the noise comes from torch's generator."""

from __future__ import annotations

import torch
from jaxtyping import Float, Real
from torch import Tensor
from torch.nn.functional import grid_sample

Images = Real[Tensor, "n channels height width"]
Tiles = Real[Tensor, "tiles channels tile tile"]


def split_tiles(images: Images, tile: int) -> Tiles:
    """Cut images into square tiles, row by row.

    >>> split_tiles(torch.arange(8.0).reshape(1, 1, 2, 4), 2)[1]
    tensor([[[2., 3.],
             [6., 7.]]])
    """
    count, channels, height, width = images.shape
    cut = images.reshape(count, channels, height // tile, tile, width // tile, tile)
    return cut.permute(0, 2, 4, 1, 3, 5).reshape(-1, channels, tile, tile)


def join_tiles(tiles: Tiles, height: int, width: int) -> Images:
    """Put the tiles of images of `height` × `width` pixels together again."""
    _, channels, tile, _ = tiles.shape
    cut = tiles.reshape(-1, height // tile, width // tile, channels, tile, tile)
    return cut.permute(0, 3, 1, 4, 2, 5).reshape(-1, channels, height, width)


def warp_tiles(
    images: Images, tile: int, rotate: float = 0.1, stretch: float = 0.07, shear: float = 0.07, shift: float = 0.07
) -> Images:
    """Another handwriting: each tile gets an affine warp of its own, with Gaussian parameters.

    Args:
        images: pictures made of square tiles.
        tile: pixels of a tile, each way.
        rotate: standard deviation of the angle, in radians.
        stretch: of the logarithm of the scale, each way.
        shear: of the horizontal shear.
        shift: of the shift each way, in half tiles.
    """
    tiles = split_tiles(images, tile)
    count, device = len(tiles), tiles.device
    angle, lean = rotate * torch.randn(count, device=device), shear * torch.randn(count, device=device)
    wide, high = torch.exp(stretch * torch.randn(2, count, device=device))
    warp = torch.empty(count, 2, 3, device=device)
    warp[:, 0, 0], warp[:, 0, 1] = wide * angle.cos(), lean - wide * angle.sin()
    warp[:, 1, 0], warp[:, 1, 1] = high * angle.sin(), high * angle.cos()
    warp[:, :, 2] = shift * torch.randn(count, 2, device=device)
    centre = (
        2 * torch.arange(tile, device=device) + 1
    ) / tile - 1  # of each pixel; `affine_grid` takes 20 times as long
    at = torch.stack([centre.repeat(tile), centre.repeat_interleave(tile), torch.ones(tile * tile, device=device)])
    where = (warp @ at).reshape(count, 2, tile, tile).permute(0, 2, 3, 1)
    return join_tiles(grid_sample(tiles, where, align_corners=False), *images.shape[-2:])


def noise(images: Float[Tensor, "*dims"], scale: float) -> Float[Tensor, "*dims"]:
    """Gaussian noise on every pixel, in units of the range from black to white."""
    return images + scale * torch.randn_like(images)
