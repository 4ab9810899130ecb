"""Visual Sudoku: what the losses see, the scores, and the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
import torch
from torch import Tensor

from combdiff.solvers import Sudoku
from combdiff_solvers.protocol import Solutions, Status
from experiments.__main__ import main
from experiments.harness.errors import InputError
from experiments.harness.registry import find_method
from experiments.harness.task import DataSet
from experiments.sat.boards import Boards, as_one_hot, deduce, digits_of
from experiments.sat.puzzles import grids_4x4, relabelled
from experiments.sat.reader import BoardNetwork, ClueReader, augment, has_clue
from experiments.sat.sudoku import SudokuSource
from experiments.sat.task import Satisfiability

TRAINED = "perturbed", "perturbed-layer", "interpolation", "clue-deduced", "board-network"
"""the methods that learn from blanks alone"""
EXAMPLES = slice(8)
TINY: dict[str, Any] = {"boards": 24, "test_boards": 12}
SHORT = ["--batch", "8", "--workers", "1"]


def source(**options: Any) -> SudokuSource:
    found = Satisfiability(**{**TINY, **options}).source
    assert isinstance(found, SudokuSource)
    return found


def test_parts_share_no_handwriting_and_no_puzzle() -> None:
    data = source(boards=60, test_boards=30).load(0)
    parts = data.train, data.validation, data.test
    tiles = [{tile.numpy().tobytes() for tile in part.inputs[part.shown]} for part in parts]
    puzzles = [{relabelled(clues.numpy()) for clues in part.clues} for part in parts]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not tiles[one] & tiles[other]
        assert not puzzles[one] & puzzles[other]
    again, other_split = source(boards=60, test_boards=30).load(0), source(boards=60, test_boards=30).load(1)
    assert torch.equal(again.test.inputs, data.test.inputs)
    assert not torch.equal(other_split.test.clues, data.test.clues)


def test_what_is_labelled() -> None:
    blanks, boards = source().load(0), source(supervision="boards").load(0)
    for part in (blanks.train, blanks.validation):
        assert torch.equal(part.labels > 0, ~part.shown)
    assert (blanks.test.labels > 0).all()
    assert (boards.train.labels > 0).all()
    hidden = boards.train.labels * ~boards.train.shown
    assert torch.equal(hidden, blanks.train.labels)
    some = source(labelled=0.5).load(0).train.labels
    assert 0.3 < (some > 0).sum() / (hidden > 0).sum() < 0.7
    assert torch.equal(some, hidden * (some > 0))
    assert torch.equal(boards.train.labels * boards.train.shown, boards.train.clues)


def gradients(method: str, data: DataSet[Boards], options: dict[str, Any]) -> tuple[float, list[Tensor]]:
    """The loss and the gradient of the first step."""
    task = Satisfiability(**TINY, **options)
    kind = find_method(method)
    chosen = kind(**({"samples": 2} if "samples" in kind.options() else {}))
    chosen.task = task
    torch.manual_seed(0)
    network = chosen.network(data.train)
    chosen.setup(task.solver("auto", data.train), data.train)
    batch = data.train.pick(EXAMPLES)
    loss = chosen.objective(network(batch.inputs), batch)
    loss.backward()  # type: ignore[no-untyped-call]
    return float(loss.detach()), [p.grad for p in network.parameters() if p.grad is not None]


@pytest.mark.parametrize("method", [*TRAINED, "clue-digits"])
@pytest.mark.parametrize("supervision", ["blanks", "boards"])
def test_no_digit_that_is_shown_is_labelled(method: str, supervision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The digits of the clues are permuted in the labels: only who may see them has other losses and gradients."""
    made = source(supervision=supervision).parts(0)
    permuted = []
    for part in made:
        names = torch.tensor([0, 2, 3, 4, 1])
        digits = torch.where(part.shown, names[part.labels], part.labels)
        permuted.append(replace(part, solutions=as_one_hot(digits.numpy()), clues=names[part.clues]))
    found = []
    for parts in (made, tuple(permuted)):
        one = source(supervision=supervision)
        monkeypatch.setattr(one, "parts", lambda split, parts=parts: parts)
        monkeypatch.setattr("experiments.sat.sudoku.deduce", deduce if supervision == "blanks" else lambda y, _: y)
        found.append(gradients(method, one.load(0), {"supervision": supervision}))
    (loss, before), (other, after) = found
    same = loss == other and all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert same == (supervision == "blanks" and method != "clue-digits")


@pytest.mark.parametrize("method", TRAINED)
def test_labels_of_blanks_matter(method: str) -> None:
    data = source().load(0)
    names = torch.tensor([0, 2, 3, 4, 1])
    labels = names[data.train.labels]
    other = replace(data.train, solutions=as_one_hot(labels.numpy()), deduced=names[data.train.deduced])
    (loss, before), (moved, after) = gradients(method, data, {}), gradients(method, replace(data, train=other), {})
    assert loss != moved or not all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_the_target_is_the_best_board_of_those_with_the_labels() -> None:
    task, data = source(), source().load(0)
    torch.manual_seed(0)
    batch = data.train.pick(EXAMPLES)
    hidden = torch.rand(8, 4, 4) < 0.7  # so much that several boards are left
    batch = replace(batch, solutions=batch.solutions * ~hidden[..., None])
    theta = torch.randn(8, 4, 4, 4)
    best = task.completed(theta, batch)
    grids = torch.from_numpy(grids_4x4())
    for scores, labels, found in zip(theta, batch.labels, best, strict=True):
        fits = grids[((grids == labels) | (labels == 0)).flatten(1).all(1)]
        values = (as_one_hot(fits.numpy()) * scores).flatten(1).sum(1)
        assert torch.equal(digits_of(found), fits[values.argmax()])
    whole = data.test.pick(EXAMPLES)
    assert task.completed(theta, whole) is whole.solutions


def test_deduced_digits_are_those_of_all_grids_that_are_left() -> None:
    torch.manual_seed(1)
    grids = torch.from_numpy(grids_4x4())
    labels = grids[torch.randint(288, (20,))] * (torch.rand(20, 4, 4) < 0.35)
    for own, found in zip(labels, deduce(labels, Sudoku(4)), strict=True):
        fits = grids[((grids == own) | (own == 0)).flatten(1).all(1)]
        assert torch.equal(found, torch.where((fits == fits[0]).all(0), fits[0], 0))


def test_a_limit_says_nothing() -> None:
    class Limited(Sudoku):
        def solve_checked(self, theta: np.ndarray, instances: Any) -> Solutions:
            found = super().solve_checked(theta, instances)
            return replace(found, status=np.array([Status.FEASIBLE, *found.status[1:]], dtype=np.uint8))

    labels = torch.from_numpy(grids_4x4()[:3])
    found = deduce(labels, Limited(4))
    assert not found[0].any()
    assert torch.equal(found[1:], labels[1:])


def test_scores() -> None:
    task, test = source(), source().load(0).test
    rows = torch.arange(12)
    perfect = test.solutions * test.shown[..., None]
    assert task.score(task.solve(perfect, test), test, perfect) == {
        **dict.fromkeys(("boards", "cells", "read"), 1.0),
        "unproven": 0.0,
        "alone": pytest.approx(float("nan"), nan_ok=True),
    }
    wrong = test.solutions.clone()
    wrong[0, 0, 0] = wrong[0, 0, 0].roll(1)
    wrong[1] = torch.nan  # no solution
    found = task.score(wrong, test, None)
    assert found["boards"] == pytest.approx(10 / 12)
    assert found["cells"] == pytest.approx(1 - 17 / (12 * 16))
    alone = test.solutions.clone()
    alone[rows[:3], 0] = alone[rows[:3], 0].roll(1, -1)
    spoilt = int((~test.shown[:3, 0]).any(1).sum())
    assert task.score(test.solutions, test, alone)["alone"] == pytest.approx(1 - spoilt / 12)


def test_a_misread_clue_costs_no_board_its_solution() -> None:
    """Two clues of one row are read as the same digit: the less certain one gives way."""
    task, test = source(), source().load(0).test
    costs = test.solutions * test.shown[..., None]
    costs[:, 0] = 0.0
    costs[:, 0, 0, 2], costs[:, 0, 1, 2] = 1.0, 0.5
    y = task.solve(costs, test)
    assert (y.sum(-1) == 1).all()
    assert (digits_of(y)[:, 0].sort(1).values == torch.arange(1, 5)).all()


def test_networks_see_clues_alone_and_blanks_stay_blank() -> None:
    torch.manual_seed(0)
    inputs = source().load(0).train.inputs
    shown = has_clue(inputs)
    changed = augment(inputs)
    assert torch.equal(has_clue(changed), shown)
    assert not torch.equal(changed, inputs)
    scores = ClueReader(4, 8).eval()(inputs)
    assert torch.equal(scores.abs().sum(-1) > 0, shown)
    moved = inputs.clone()
    moved[0, 0, 0], moved[0, 3, 3] = inputs[0, 3, 3], inputs[0, 0, 0]
    reader = ClueReader(4, 8).eval()
    assert torch.allclose(reader(moved)[0, 3, 3], reader(inputs)[0, 0, 0], atol=1e-6)
    network = BoardNetwork(4, 8, 4, blanks_only=True)
    assert torch.equal(network(inputs).abs().sum(-1) > 0, ~shown)
    assert (BoardNetwork(4, 8, 4, blanks_only=False)(inputs).abs().sum(-1) > 0).all()


def test_bad_options() -> None:
    for words in (
        {"data": "sudoku9"},
        {"data": "sudoku4:x"},
        {"data": "chess"},
        {"labelled": 1.1},
        {"time_limit": 0.0},
    ):
        with pytest.raises(InputError):
            Satisfiability(**words)
    with pytest.raises(InputError, match=r"digits='nist' must be scans or mnist:FILE"):
        Satisfiability(digits="nist").load(0)


def test_a_run_of_every_method(tmp_path: Path) -> None:
    words = ["--boards", "96", "--test-boards", "40", "--clues", "7", "--epochs", "3", "--samples", "2", *SHORT]
    assert main(["sat", *words, "--method", *TRAINED, "clue-digits", "--out", str(tmp_path)]) == 0
    rows = {row["method"]: row for row in json.loads((tmp_path / "summary.json").read_text())}
    assert list(rows) == [*TRAINED, "clue-digits", "any board"]
    assert all(rows[name]["boards"] > 0.5 for name in ("perturbed", "interpolation", "clue-deduced", "clue-digits"))
    assert all(0 <= row["boards"] <= row["cells"] <= 1 for row in rows.values())
    assert rows["board-network"]["read"] is None
    assert rows["perturbed"]["alone"] is None
    assert matplotlib.image.imread(tmp_path / "boards.png").std() > 0.05
