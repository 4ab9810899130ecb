"""Rules learned by SATNet: boards as symbols, parity, and clauses made of what was learned."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.__main__ import main
from experiments.sat import exact_rules
from experiments.sat.boards import as_one_hot
from experiments.sat.exact_rules import true_pairs
from experiments.sat.mining import Rules, coupled, never_together, outcome, supported, with_groups
from experiments.sat.parity import Chain, Parity
from experiments.sat.puzzles import grids_4x4
from experiments.sat.rules import RuleNetwork, Rules4
from experiments.sat.task import Satisfiability

TINY = ["--boards", "40", "--test-boards", "20", "--epochs", "2", "--workers", "1"]


def task(**options: Any) -> Satisfiability:
    return Satisfiability(**{"data": "rules4", "boards": 30, "test_boards": 10, **options})


def test_a_board_counts_by_every_cell_its_clues_too() -> None:
    rules = task()
    test = rules.load(0).test
    assert rules.score(test.completion, test) == {"boards": 1.0, "cells": 1.0}
    other = test.completion.roll(1, -1)  # valid boards, with other digits in the clues
    assert rules.score(other, test) == {"boards": 0.0, "cells": 0.0}
    blank = test.inputs.amax(-1, keepdim=True) == 0
    spoilt = torch.where(blank, test.completion, test.completion.roll(1, -1))
    assert rules.score(spoilt, test) == {"boards": 0.0, "cells": 1.0}


def test_parts_share_no_puzzle_and_the_clues_are_those_of_the_solution() -> None:
    data = task().load(0)
    boards = [one.inputs.flatten(1).tolist() for one in (data.train, data.validation, data.test)]
    assert len({tuple(row) for part in boards for row in part}) == 50
    clues, solved = data.train.inputs, data.train.completion
    assert torch.equal(clues * solved, clues)
    assert torch.equal(solved.sum(-1), torch.ones(30, 4, 4))


def test_the_network_keeps_clues_and_sees_nothing_in_blanks() -> None:
    torch.manual_seed(0)
    network, test = RuleNetwork(4, 20, 10), task().load(0).test
    out = network(test.inputs)
    shown = test.inputs.amax(-1) > 0
    assert torch.equal(out[shown], test.inputs[shown])
    assert bool((out[~shown] > 0).all())


@pytest.mark.parametrize("data", ["rules4", "parity"])
def test_a_run_goes_on_where_it_was_broken_off(data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["sat", "--data", data, *TINY]
    assert main([*words, "--out", str(tmp_path / "whole")]) == 0
    from experiments.harness.train import Training

    epoch = Training.run_epoch

    def broken(self: Training, *rest: Any) -> None:
        if self.epoch == 1:
            raise KeyboardInterrupt
        epoch(self, *rest)

    monkeypatch.setattr(Training, "run_epoch", broken)
    assert main([*words, "--out", str(tmp_path / "broken")]) == 130
    monkeypatch.setattr(Training, "run_epoch", epoch)
    assert main(["sat", "--resume", str(tmp_path / "broken"), "--workers", "1"]) == 0
    whole, resumed = (json.loads((tmp_path / name / "summary.json").read_text()) for name in ("whole", "broken"))
    key = Satisfiability(data=data).target
    assert [row[key] for row in whole] == [row[key] for row in resumed]


def test_the_rules_of_4x4_are_learned() -> None:
    rules = task(boards=200)
    train, test = rules.load(0).train, rules.load(0).test
    torch.manual_seed(0)
    network = rules.network(train)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(20):
        for rows in torch.split(torch.randperm(len(train)), 40):
            batch = train.pick(rows)
            loss = torch.nn.functional.binary_cross_entropy(network(batch.inputs), batch.completion)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
    with torch.no_grad():
        assert rules.score(rules.solve(network(test.inputs), test), test)["boards"] == 1.0


def test_the_target_of_parity_is_that_of_the_string() -> None:
    strings = Satisfiability(data="parity", boards=50, length=7).load(0).train
    assert strings.inputs.shape == (50, 7)
    assert [sum(row) % 2 for row in strings.inputs.tolist()] == strings.completion[:, 0].tolist()


def test_a_chain_of_the_right_step_is_parity() -> None:
    strings = Satisfiability(data="parity", boards=50, length=20).load(0).train
    torch.manual_seed(0)
    chain = Chain()
    optimizer = torch.optim.Adam(chain.parameters(), lr=0.1)
    pairs = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    for _ in range(150):  # strings of two bits teach the step
        loss = torch.nn.functional.binary_cross_entropy(chain(pairs), pairs.sum(1, keepdim=True) % 2)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    with torch.no_grad():
        assert torch.equal(chain(strings.inputs).round(), strings.completion)


def test_all_boards_leave_the_rules_themselves() -> None:
    truth = as_one_hot(grids_4x4().astype("int64")).flatten(1)
    pairs = never_together(truth)
    assert torch.equal(pairs, true_pairs(4))
    rules = with_groups(pairs, truth)
    assert len(rules.groups) == 4 * 16  # cells, and digits in rows, columns and boxes
    test = task().load(0).test
    clues, solved = test.inputs.flatten(1), test.completion.flatten(1)
    assert outcome(rules, clues, solved) == {"right": 1.0, "none": 0.0, "else": 0.0}
    assert outcome(Rules(pairs, []), clues, solved)["else"] == 1.0  # cells may stay blank
    assert outcome(Rules(~torch.eye(64, dtype=torch.bool), rules.groups), clues, solved)["none"] == 1.0
    assert outcome(rules, clues * 0, solved)["else"] == 1.0


def test_clauses_of_a_network() -> None:
    truth = torch.tensor([[1.0, 0, 0, 1], [0, 1, 0, 1], [1, 0, 0, 0], [0, 1, 0, 1]])
    s = torch.tensor([[9.0, 0], [1, 0], [1, 0.5], [0.5, -1], [1, 0.2]])  # row 0 is truth
    # ⟨s_i, s_j⟩: 1.0 for (0, 1); 1.0 for (0, 3), which a board has; 1.1 for (1, 3), which has, too
    assert coupled(s, truth).nonzero().tolist() == []
    assert coupled(s * torch.tensor([[1.0], [2], [1], [1], [0.1]]), truth).nonzero().tolist() == [
        [0, 1],
        [0, 2],
        [1, 0],
        [2, 0],
    ]
    kept = supported(torch.ones(4, 4).bool().fill_diagonal_(False), truth)
    assert [0, 1] in kept.nonzero().tolist()
    assert [0, 3] not in kept.nonzero().tolist()


def test_a_study_of_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    assert main(["sat", "--data", "rules4", *TINY, "--splits", "2", "--out", str(folder)]) == 0
    assert exact_rules.main([str(folder)]) == 0
    with (folder / "exact_rules.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["way"] for row in rows] == 2 * ["couplings", "answers", "mined", "mined + answers"]
    for row in rows:
        assert float(row["right"]) + float(row["none"]) + float(row["else"]) == pytest.approx(1)
        assert float(row["missing"]) == 0 or row["way"] != "mined"  # no board breaks a rule


def test_a_study_without_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert exact_rules.main(["--mine", "rules4", "--boards", "20", "400"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "mined" in line]
    assert ["100.0%" in line for line in lines] == [False, True]  # few boards leave pairs out by chance


def test_bad_folders_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exact_rules.main([str(tmp_path)]) == 2
    assert "no results folder" in capsys.readouterr().err
    assert main(["sat", "--data", "parity", *TINY, "--out", str(tmp_path / "parity")]) == 0
    assert exact_rules.main([str(tmp_path / "parity")]) == 2
    assert "no run of --data rules4" in capsys.readouterr().err
    assert exact_rules.main(["--mine", "parity"]) == 2
    assert "must be rules4" in capsys.readouterr().err


def test_bad_data_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sat", "--data", "rules4:somewhere"]) == 2
    assert main(["sat", "--data", f"rules9:{tmp_path / 'none.txt'}", "--out", str(tmp_path / "out")]) == 2
    assert "none.txt cannot be read" in capsys.readouterr().err
    assert Rules4.takes_path is False
    assert Parity.takes_path is False
