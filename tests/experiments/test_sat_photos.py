"""Photographs of Sudokus, drawn here: grids of digits in perspective, in uneven light, with noise."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from experiments.__main__ import main
from experiments.digits import scans
from experiments.harness.errors import InputError
from experiments.sat.cells import SIDE, cut_cells
from experiments.sat.photos import Photos, read_dat
from experiments.sat.task import Satisfiability

pytest.importorskip("skimage")

CELL, FRAME = 30, 400  # pixels
GRID = np.array([[(3 * row + row // 3 + column) % 9 + 1 for column in range(9)] for row in range(9)])


def draw(puzzle: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A photograph: (pixels, pixels) from 0 to 255."""
    from skimage import transform

    images, labels = scans()
    side = 9 * CELL
    page = np.full((side + 1, side + 1), 0.95)
    for k in range(10):
        wide = 2 if k % 3 == 0 else 1
        line = slice(max(0, k * CELL - wide + 1), k * CELL + wide)
        page[line], page[:, line] = 0.15, 0.15
    for row, column in np.argwhere(puzzle):
        image = images[rng.choice(np.flatnonzero(labels == puzzle[row, column]))] / 255
        top, left = row * CELL + 5, column * CELL + 5
        page[top : top + 20, left : left + 20] -= 0.85 * transform.resize(image, (20, 20))
    flat = np.array([[0, 0], [side, 0], [side, side], [0, side]], dtype=float)
    corners = np.array([[50, 50], [350, 50], [350, 350], [50, 350]]) + rng.uniform(-25, 25, (4, 2))
    warp = transform.ProjectiveTransform.from_estimate(corners, flat)
    photograph = transform.warp(page, warp, output_shape=(FRAME, FRAME), cval=0.9)
    light = 0.6 + 0.4 * np.linspace(0, 1, FRAME)
    return (255 * np.clip(photograph * light + rng.normal(0, 0.02, photograph.shape), 0, 1)).astype(np.uint8)


def puzzle_of(rng: np.random.Generator, blanks: int) -> np.ndarray:
    """Another grid of the same family, with that many blanks."""
    names = rng.permutation(9) + 1
    grid = names[GRID[np.concatenate([3 * band + rng.permutation(3) for band in rng.permutation(3)])] - 1]
    grid.flat[rng.permutation(81)[:blanks]] = 0
    return grid


def write(folder: Path, name: str, puzzle: np.ndarray, picture: np.ndarray) -> None:
    from skimage import io

    folder.mkdir(parents=True, exist_ok=True)
    io.imsave(folder / f"{name}.jpg", picture, check_contrast=False)
    rows = "\n".join(" ".join(map(str, row)) for row in puzzle.tolist())
    (folder / f"{name}.dat").write_text(f"a camera\n400x400:8 JPG\n{rows}\n")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifteen photographs; there is no grid in the last one."""
    root, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for number in range(15):
        puzzle = puzzle_of(rng, 12)
        picture = draw(puzzle, rng) if number < 14 else np.full((FRAME, FRAME), 200, dtype=np.uint8)
        write(root / "images", f"image{number:02}", puzzle, picture)
    (root / "images" / "image.original.jpg").write_bytes(b"no puzzle is beside it")
    return root


def test_cells_have_their_digits(photos: Path) -> None:
    for number in range(14):
        file = photos / "images" / f"image{number:02}.jpg"
        cells, puzzle = cut_cells(file), read_dat(file.with_suffix(".dat"))
        assert cells is not None
        assert cells.shape == (9, 9, SIDE, SIDE)
        assert np.array_equal(cells.any((2, 3)), puzzle > 0), file.name
        shown = cells[puzzle > 0]
        assert np.array_equal(shown.max((1, 2)), np.ones(len(shown)))
        assert (shown.reshape(len(shown), -1).mean(1) < 0.5).all()
    assert cut_cells(photos / "images" / "image14.jpg") is None


def test_cells_look_like_the_digits(photos: Path) -> None:
    """The nearest scan of scikit-learn says what most of them are."""
    from skimage import transform

    images, labels = scans()
    known = np.stack([transform.resize(image / 255, (SIDE, SIDE)) for image in images[:500]]).reshape(500, -1)
    file = photos / "images" / "image00.jpg"
    cells, puzzle = cut_cells(file), read_dat(file.with_suffix(".dat"))
    assert cells is not None
    shown = cells[puzzle > 0].reshape(-1, 1, SIDE * SIDE)
    nearest = labels[:500][np.square(shown - known).sum(-1).argmin(1)]
    assert (nearest == puzzle[puzzle > 0]).mean() > 0.6


def test_parts(photos: Path) -> None:
    source = Satisfiability(data=f"photos:{photos}").source
    assert isinstance(source, Photos)
    train, validation, test = source.parts(0)
    assert (len(train), len(validation), len(test)) == (9, 3, 3)
    clues = torch.cat([train.clues, validation.clues, test.clues])
    assert len({tuple(board.flatten().tolist()) for board in clues}) == 15
    assert torch.equal(clues > 0, torch.cat([train.shown, validation.shown, test.shown]))
    assert not torch.equal(source.parts(1)[2].clues, test.clues)
    assert ((train.labels == train.clues) | ~train.shown).all()


def test_the_published_test_set(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "images").symlink_to(photos / "images")
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "v2_test.desc").write_text("images/image03.jpg\nimages/image14.jpg\n")
    source = Satisfiability(data=f"photos:{tmp_path}").source
    assert isinstance(source, Photos)
    _, _, test = source.parts(3)
    assert np.array_equal(test.clues[0], read_dat(tmp_path / "images" / "image03.dat"))
    assert len(test) == 2
    assert source.remarks(test, [], []) == ["no grid is found in 1 of 2 test photographs"]


def test_a_run(photos: Path, tmp_path: Path) -> None:
    words = ["--method", "clue-deduced", "clue-digits", "--epochs", "2", "--workers", "1", "--time-limit", "0.05"]
    assert main(["sat", "--data", f"photos:{photos}", *words, "--out", str(tmp_path / "run")]) == 0
    rows = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert all(0 <= row["read"] <= 1 for row in rows)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[:-1], r"image0\.dat has 10 lines, but 11 are expected"),
        (lambda lines: [*lines[:4], "1 2 3", *lines[5:]], r"image0\.dat, line 5: nine numbers from 0 to 9"),
        (lambda lines: [*lines[:4], "1 2 3 4 5 6 7 8 x", *lines[5:]], r"image0\.dat, line 5: nine numbers"),
        (lambda lines: [*lines[:2], *["0 0 0 0 0 0 0 0 0"] * 9], r"image0\.dat, lines 3 to 11: .* more than one"),
        (lambda lines: [*lines[:2], *["1 1 0 0 0 0 0 0 0"] * 9], r"image0\.dat, lines 3 to 11: .* no solution"),
    ],
)
def test_damaged_labels(change: Any, message: str, tmp_path: Path) -> None:
    write(tmp_path, "image0", GRID, np.full((50, 50), 200, dtype=np.uint8))
    file = tmp_path / "image0.dat"
    file.write_text("\n".join(change(file.read_text().splitlines())))
    with pytest.raises(InputError, match=message):
        Satisfiability(data=f"photos:{tmp_path}").load(0)


def test_damaged_pictures(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no photograph"):
        Satisfiability(data=f"photos:{tmp_path}").load(0)
    write(tmp_path, "image0", GRID, np.full((50, 50), 200, dtype=np.uint8))
    with pytest.raises(InputError, match="has 1 photographs: too few"):
        Satisfiability(data=f"photos:{tmp_path}").load(0)
    other = tmp_path / "other"
    write(other, "image0", GRID, np.full((50, 50), 200, dtype=np.uint8))
    (other / "image0.jpg").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"image0\.jpg cannot be read as a picture"):
        Satisfiability(data=f"photos:{other}").load(0)


def test_boards_without_blanks(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(5):
        write(tmp_path, f"image{number}", puzzle_of(rng, 0), np.full((50, 50), 200, dtype=np.uint8))
    with pytest.raises(InputError, match="no blank cells; choose --supervision boards"):
        Satisfiability(data=f"photos:{tmp_path}").load(0)
    assert Satisfiability(data=f"photos:{tmp_path}", supervision="boards").load(0).train.solutions.any()


def test_without_the_library(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(InputError, match=r"photographs need scikit-image .*\[photos\]"):
        cut_cells(photos / "images" / "image00.jpg")
