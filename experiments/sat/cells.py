"""The cells of the grid in a photograph, by scikit-image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Float64
from numpy import ndarray

from experiments.harness.errors import InputError

SIDE = 16
"""pixels of a cell each way, as the network sees it"""
CELL = 32  # pixels of a cell in the rectified grid
LONGEST = 800  # pixels: larger photographs are made smaller
RIM = 3  # pixels of a rectified cell that may belong to the lines
INK = 0.02  # a smaller share of a cell is dirt

Gray = Float64[ndarray, "height width"]


def cut_cells(file: Path) -> Float32[ndarray, "9 9 side side"] | None:
    """Each digit in the middle of its cell, 1 for the darkest ink; 0 everywhere in a cell without ink.

    The lines are the largest connected piece of what is darker than its surroundings; its four corners make a square of
    it. None where there is no such piece. Digits that touch the lines are cut off from them.

    Raises:
        InputError: for a file that cannot be read, and without scikit-image.
    """
    try:
        from skimage import color, io, transform
    except ImportError as error:
        raise InputError(f"photographs need scikit-image ({error}): pip install -e '.[photos]'") from error
    try:
        picture = io.imread(file)
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"{file} cannot be read as a picture: {error}") from error
    gray = np.asarray(color.rgb2gray(picture[..., :3]) if picture.ndim == 3 else picture / 255.0)
    shrink = min(1.0, LONGEST / max(gray.shape))
    if shrink < 1:
        gray = transform.rescale(gray, shrink, anti_aliasing=True)
    corners = grid_corners(dark(gray))
    if corners is None:
        return None
    side = 9 * CELL
    square = np.array([[0, 0], [side, 0], [side, side], [0, side]], dtype=float)
    warp = transform.ProjectiveTransform.from_estimate(square, corners)
    if not warp:
        return None
    flat = transform.warp(gray, warp, output_shape=(side, side), mode="edge")
    ink = dark(flat)
    cells = np.zeros((9, 9, SIDE, SIDE), dtype=np.float32)
    for row in range(9):
        for column in range(9):
            here = np.s_[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL]
            cells[row, column] = _digit(flat[here], ink[here])
    return cells


def dark(gray: Gray) -> Bool[ndarray, "height width"]:
    """What is darker than its surroundings."""
    from skimage import filters

    block = max(11, min(gray.shape) // 20 * 2 + 1)
    return gray < filters.threshold_local(gray, block, offset=0.06)


def grid_corners(lines: Bool[ndarray, "height width"]) -> Float64[ndarray, "4 2"] | None:
    """The corners (x, y) of the largest connected piece, from the upper left one clockwise, if it may be a grid."""
    from skimage import measure

    pieces = measure.regionprops(measure.label(lines, connectivity=2))
    if not pieces:
        return None
    grid = max(pieces, key=lambda piece: piece.area_bbox)
    if grid.area_bbox < 0.1 * lines.size:
        return None
    y, x = grid.coords.T
    ends = [(x + y).argmin(), (x - y).argmax(), (x + y).argmax(), (x - y).argmin()]
    corners = np.stack([x[ends], y[ends]], axis=1).astype(float)
    lengths = np.linalg.norm(corners - np.roll(corners, -1, axis=0), axis=1)
    return corners if lengths.min() > 0.4 * lengths.max() else None


def _digit(gray: Gray, ink: Bool[ndarray, "cell cell"]) -> Float32[ndarray, "side side"]:
    """The ink that does not touch the rim, in the middle of a picture of its size; 0 where there is too little."""
    from skimage import measure, transform

    inner = np.zeros_like(ink)
    inner[RIM:-RIM, RIM:-RIM] = ink[RIM:-RIM, RIM:-RIM]
    pieces = measure.label(inner, connectivity=2)
    kept = np.zeros_like(inner)
    middle = gray.shape[0] / 2
    for piece in measure.regionprops(pieces):
        top, left, bottom, right = piece.bbox
        crosses = top < 1.4 * middle and bottom > 0.6 * middle and left < 1.4 * middle and right > 0.6 * middle
        line = max(bottom - top, right - left) > 4 * min(bottom - top, right - left) and (
            min(top, left) <= RIM + 1 or max(bottom, right) >= gray.shape[0] - RIM - 1
        )
        if crosses and not line:
            kept |= pieces == piece.label
    if kept.mean() < INK:
        return np.zeros((SIDE, SIDE), dtype=np.float32)
    rows, columns = np.flatnonzero(kept.any(1)), np.flatnonzero(kept.any(0))
    top, left = rows[0], columns[0]
    high, wide = rows[-1] + 1 - top, columns[-1] + 1 - left
    size = max(high, wide) + 4
    paper = np.median(gray[~ink]) if (~ink).any() else 1.0
    strength = np.where(kept, np.clip(paper - gray, 0, None), 0.0)
    box = np.zeros((size, size))
    down, over = (size - high) // 2, (size - wide) // 2
    box[down : down + high, over : over + wide] = strength[top : top + high, left : left + wide]
    small = transform.resize(box, (SIDE, SIDE), anti_aliasing=True)
    return (small / small.max()).astype(np.float32)
