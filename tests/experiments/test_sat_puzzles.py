"""Sudoku puzzles: those that are made, and files of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from combdiff.solvers import Sudoku
from experiments.__main__ import main
from experiments.harness.errors import InputError
from experiments.sat.puzzles import PuzzleFile, another_solution, grids_4x4, make_puzzles, relabelled

SHORT = ["--batch", "8", "--workers", "1"]
GRID = "123456789456789123789123456231674895875912364694538217317265948542897631968341572"


def write_puzzles(folder: Path, puzzles: list[str], solutions: list[str], name: str = "few") -> Path:
    (folder / f"{name}.txt").write_text("\n".join(puzzles) + "\n")
    (folder / f"{name}.solutions.txt").write_text("\n".join(solutions) + "\n")
    return folder / f"{name}.txt"


def with_blanks(grid: str, count: int, seed: int) -> str:
    blanks = set(np.random.default_rng(seed).permutation(81)[:count].tolist())
    return "".join("0" if cell in blanks else digit for cell, digit in enumerate(grid))


def other_grids(count: int) -> list[str]:
    """Grids that do not differ by the names of digits alone: rows of a band, and bands, in another order."""
    rng, grid = np.random.default_rng(0), np.array(list(GRID)).reshape(9, 9)
    found = []
    for _ in range(count):
        rows = np.concatenate([3 * band + rng.permutation(3) for band in rng.permutation(3)])
        found.append("".join(grid[rows].flat))
    return found


def test_there_are_288_grids_and_each_keeps_the_rules() -> None:
    grids = grids_4x4()
    assert len(np.unique(grids, axis=0)) == 288
    theta = (grids[..., None] == np.arange(1, 5)).reshape(288, -1).astype(float)
    assert np.array_equal(Sudoku(4).solve(theta[:20]).y, theta[:20])


def test_puzzles_have_one_solution_and_no_two_are_the_same_up_to_names() -> None:
    seen: set[bytes] = set()
    puzzles, solutions = make_puzzles(60, 4, np.random.default_rng(0), seen)
    assert len(seen) == 60
    for puzzle, solution in zip(puzzles, solutions, strict=True):
        fits = ((grids_4x4() == puzzle) | (puzzle == 0)).all(axis=(1, 2))
        assert np.array_equal(grids_4x4()[fits], solution[None])
        names = np.array([0, 3, 1, 4, 2])
        assert relabelled(names[puzzle]) in seen
    assert (make_puzzles(20, 8, np.random.default_rng(0), set())[0] > 0).sum((1, 2)).min() == 8


def test_too_many_puzzles() -> None:
    with pytest.raises(InputError, match="take fewer boards"):
        make_puzzles(300, 15, np.random.default_rng(0), set())


def test_files_of_puzzles(tmp_path: Path) -> None:
    grids = other_grids(9)
    renamed = grids[0].translate(str.maketrans("123456789", "912345678"))
    file = write_puzzles(tmp_path, [with_blanks(g, 12, k) for k, g in enumerate([*grids, renamed])], [*grids, renamed])
    found = PuzzleFile(file)
    assert len(found._kept) == len({relabelled(np.array(list(g), dtype=int).reshape(9, 9)) for g in grids})
    with pytest.raises(InputError, match=r"has \d different puzzles, but 20 are wanted"):
        found.draw((10, 5, 5), 0)
    first, second = found.draw((3, 2), 0)
    assert first[0].shape == (3, 9, 9)
    assert not {relabelled(grid) for grid in first[1]} & {relabelled(grid) for grid in second[1]}
    assert not another_solution(*first)[0].any()


@pytest.mark.parametrize(
    ("line", "text", "message"),
    [
        (1, "12345", r"few\.txt, line 2: 81 digits from 0 to 9"),
        (1, "x" * 81, r"few\.txt, line 2: 81 digits from 0 to 9"),
        (1, "0" * 81, r"few\.txt, line 2: the puzzle has another solution"),
        (1, GRID[1] + with_blanks(GRID, 5, 0)[1:], r"few\.solutions\.txt, line 2: the solution has not the clues"),
    ],
)
def test_bad_puzzles(line: int, text: str, message: str, tmp_path: Path) -> None:
    grids = other_grids(4)
    puzzles = [with_blanks(grid, 12, k) for k, grid in enumerate(grids)]
    puzzles[line] = text
    with pytest.raises(InputError, match=message):
        PuzzleFile(write_puzzles(tmp_path, puzzles, grids)).draw((2, 1, 1), 0)


def test_bad_solutions(tmp_path: Path) -> None:
    grids = other_grids(4)
    puzzles = [with_blanks(grid, 12, k) for k, grid in enumerate(grids)]
    with pytest.raises(InputError, match=r"solutions\.txt has 3 lines, but .* has 4"):
        PuzzleFile(write_puzzles(tmp_path, puzzles, grids[:3]))
    with pytest.raises(InputError, match=r"solutions\.txt, line 3: 81 digits from 1 to 9"):
        PuzzleFile(write_puzzles(tmp_path, puzzles, [*grids[:2], "0" * 81, grids[3]]))
    broken = "11" + grids[2][2:]
    unsolvable = [*puzzles[:2], broken, puzzles[3]]
    with pytest.raises(InputError, match=r"few\.txt, line 3: the puzzle has no solution"):
        PuzzleFile(write_puzzles(tmp_path, unsolvable, [*grids[:2], broken, grids[3]])).draw((2, 1, 1), 0)
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(InputError, match="is empty"):
        PuzzleFile(tmp_path / "empty.txt")
    with pytest.raises(InputError, match="cannot be read"):
        PuzzleFile(tmp_path / "missing.txt")


def test_a_run_of_9x9(tmp_path: Path) -> None:
    grids = other_grids(40)
    write_puzzles(tmp_path, [with_blanks(grid, 12, k) for k, grid in enumerate(grids)], grids, "easy")
    words = ["--boards", "16", "--test-boards", "5", "--epochs", "2", "--time-limit", "0.05", *SHORT]
    chosen = "interpolation", "clue-deduced"
    folder = tmp_path / "run"
    assert main(["sat", "--data", f"sudoku9:{tmp_path}", *words, "--method", *chosen, "--out", str(folder)]) == 0
    assert [row["method"] for row in json.loads((folder / "summary.json").read_text())] == [*chosen, "any board"]
