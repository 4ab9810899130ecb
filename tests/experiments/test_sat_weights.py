"""Weighted formulas: the assignments, the examples, the scores, and the command."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
import torch

import combdiff.layers
from combdiff.solvers import SatInstances
from combdiff_solvers.formulas.formula import Formula, Soft, holds
from combdiff_solvers.protocol import Status
from experiments.__main__ import main
from experiments.harness.errors import InputError
from experiments.harness.registry import find_method
from experiments.sat.task import Satisfiability
from experiments.sat.weights import FEWEST, Choices, Weights
from experiments.sat.wishes import LEAST, Table, Wishes, configuration, draw_models

TINY: dict[str, Any] = {"data": "weights", "examples": 40, "test_examples": 20}
FREE = "p cnf 9 2\n1 2 0\n-3 4 5 0\n"
"""a formula of many models"""
NONE, ONE, TWO = "p cnf 1 2\n1 0\n-1 0\n", "p cnf 2 2\n1 0\n-2 0\n", "p cnf 2 1\n1 0\n"


def source(**options: Any) -> Weights:
    found = Satisfiability(**{**TINY, **options}).source
    assert isinstance(found, Weights)
    return found


def file_of(text: str, folder: Path, name: str = "a.cnf") -> Path:
    (folder / name).write_text(text)
    return folder / name


def all_models(formula: Formula) -> np.ndarray:
    rows = (np.arange(2**formula.variables)[:, None] >> np.arange(formula.variables)) & 1 > 0
    found: np.ndarray = rows[formula.satisfied(rows)]
    return found


def test_assignments_that_are_drawn_satisfy_the_formula_and_none_is_missing() -> None:
    formula = Formula(6, ((1, 2), (-3, 4, 5), (-1, -6)))
    models = draw_models(formula, 500, np.random.default_rng(0))
    assert formula.satisfied(models).all()
    assert len(np.unique(models, axis=0)) == len(models) == len(all_models(formula))
    assert len(draw_models(formula, 5, np.random.default_rng(0))) <= 5


def test_a_second_assignment_is_found_where_there_is_one() -> None:
    rare = Formula(9, tuple((-k, -k - 1) for k in range(1, 9)) + tuple((k, k + 1) for k in range(1, 9)))
    assert len(draw_models(rare, 1, np.random.default_rng(0))) == len(all_models(rare)) == 2
    assert len(draw_models(Formula(2, ((1,), (-2,))), 3, np.random.default_rng(0))) == 1
    assert len(draw_models(Formula(1, ((1,), (-1,))), 3, np.random.default_rng(0))) == 0
    assert len(draw_models(Formula(1, ((),)), 3, np.random.default_rng(0))) == 0


def test_a_configuration_has_one_option_of_each_group() -> None:
    models = draw_models(configuration(np.random.default_rng(3)), 50, np.random.default_rng(0))
    for first, end in ((0, 3), (3, 6), (6, 10), (10, 12)):
        assert (models[:, first:end].sum(1) == 1).all()
    assert (models[:, 12:].any(0)).sum() > 1


@pytest.mark.parametrize("given", [0, 4])
def test_the_table_finds_what_the_solver_finds(given: int) -> None:
    one = source(given=given)
    test, rng = one.load(0).test, np.random.default_rng(1)
    theta = rng.normal(size=test.true_costs.shape)
    table, solver = (one.solver(name, test).solve(theta, test.instances()) for name in ("table", "auto"))
    assert np.array_equal(table.y, solver.y)
    assert np.allclose(table.objective, solver.objective)


@pytest.mark.parametrize(("given", "noise"), [(0, 0.0), (3, 0.0), (3, 1.0)])
def test_examples_are_the_best_of_all_assignments_that_hold_what_is_given(given: int, noise: float) -> None:
    one = source(given=given, label_noise=noise)
    data, wishes = one.load(0), one.wishes(0)
    models = all_models(wishes.formula)
    truth = np.stack([holds(soft.clause, models) for soft in wishes.formula.soft], axis=1)
    for part in (data.train, data.validation, data.test):
        assert part.given.shape == (len(part), given)
        for weights, held, best in zip(part.true_costs.numpy(), part.given.numpy(), part.best.numpy(), strict=True):
            fits = (models[:, np.abs(held) - 1] == (held > 0)).all(1)
            assert np.array_equal(truth[fits][(truth[fits] @ weights).argmax()], best)
    assert torch.equal(data.test.solutions, data.test.best)
    assert torch.equal(data.train.solutions, data.train.best) == (noise == 0)
    assert torch.equal(data.validation.solutions, data.validation.best) == (noise == 0)


def test_parts_differ_and_splits_have_other_formulas() -> None:
    data, again, other = source().load(0), source().load(0), source().load(1)
    assert torch.equal(again.train.solutions, data.train.solutions)
    assert torch.equal(again.test.true_costs, data.test.true_costs)
    assert not {bytes(row) for row in data.train.inputs.numpy()} & {bytes(row) for row in data.test.inputs.numpy()}
    assert source().wishes(0).formula.hard != source().wishes(1).formula.hard
    assert not torch.equal(other.train.inputs, data.train.inputs)


def test_what_is_ranked_is_feasible_and_nobodys_choice() -> None:
    one = source()
    data, wishes = one.load(0), one.wishes(0)
    assert data.test.held_out is not None
    ranked = data.test.held_out[0].numpy() > 0.5
    assert len({row.tobytes() for row in ranked}) == len(ranked) >= FEWEST
    possible = {row.tobytes() for row in wishes.truth}
    seen = {row.tobytes() for part in (data.train, data.validation) for row in part.solutions.numpy() > 0.5}
    assert {row.tobytes() for row in ranked} <= possible - seen
    assert (data.test.held_out == data.test.held_out[0]).all()
    assert data.train.held_out is None


def test_without_features_all_have_the_same_weights() -> None:
    data = source(features=0).load(0)
    assert (data.train.true_costs == data.test.true_costs[0]).all()
    assert len({bytes(row) for row in data.train.solutions.numpy()}) > 5  # what is given differs


def test_scores() -> None:
    one = source()
    test = one.load(0).test
    true = test.true_costs
    factor = torch.rand(len(test), 1, generator=torch.Generator().manual_seed(0)) + 0.5
    perfect = {"rank": pytest.approx(1.0), "same": 1.0, "regret": pytest.approx(0.0, abs=1e-6)}
    assert one.score(one.solve(true, test), test, true) == perfect
    assert one.score(one.solve(true * factor, test), test, true * factor) == perfect
    wrong = one.score(one.solve(-true, test), test, -true)
    assert wrong["rank"] == pytest.approx(-1.0)
    assert wrong["same"] == 0.0
    assert wrong["regret"] > 1
    assert one.score(test.best, test, torch.zeros_like(true))["rank"] == 0.0
    assert np.isnan(one.score(test.best, test, None)["rank"])


def test_what_is_chosen_by_is_no_score_of_true_weights() -> None:
    """The best epoch and temperature are those whose assignments agree with examples; these alone are known."""
    one = source(label_noise=1.0)
    validation = one.load(0).validation
    assert one.target == "same"
    blind = Choices(**{**vars(validation), "true_costs": torch.zeros_like(validation.true_costs)})
    y = one.solve(validation.true_costs, validation)
    assert one.score(y, validation, None)["same"] == one.score(y, blind, None)["same"] < 1


def test_every_layer_of_the_library_is_a_row() -> None:
    task = Satisfiability(**TINY)
    train, layers = task.load(0).train, set()
    for name in Weights.methods:
        method = find_method(name)()
        method.task = task
        method.setup(task.solver("table", train), train)
        layers.add(type(method.layer).__name__)
        torch.manual_seed(0)
        network = method.network(train)
        method.objective(network(train.inputs), train).backward()  # type: ignore[no-untyped-call]
        assert any(parameter.grad is not None and bool(parameter.grad.any()) for parameter in network.parameters())
    others = {"GumbelTopK", "SatNet", "LinearConstraints", "FixAndDifferentiate"}  # not for costs of any solver
    assert layers >= set(combdiff.layers.__all__) - others


@pytest.fixture
def enumerated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of solves in a second."""
    monkeypatch.setattr(Weights, "_solver", lambda self, backend, split: Table(self.wishes(split)))


def run(folder: Path, *words: str) -> dict[str, dict[str, Any]]:
    assert main(["sat", "--data", "weights", "--workers", "1", "--out", str(folder), *words]) == 0
    return {row["method"]: row for row in json.loads((folder / "summary.json").read_text())}


@pytest.mark.usefixtures("enumerated")
def test_weights_are_learned(tmp_path: Path) -> None:
    chosen = "perturbed", "interpolation", "entry-cross-entropy", "two-stage"
    words = "--examples", "300", "--test-examples", "50", "--epochs", "5", "--learning-rate", "0.08", "--batch", "16"
    rows = run(tmp_path / "run", *words, "--method", *chosen)
    assert list(rows) == [*chosen, "equal weights"]
    assert all(rows[name]["rank"] > 0.9 and rows[name]["regret"] < 0.05 for name in ("perturbed", "interpolation"))
    assert rows["two-stage"]["rank"] > 0.99
    assert rows["entry-cross-entropy"]["rank"] < 0.8
    for picture in ("weights.png", "ranking.png"):
        assert matplotlib.image.imread(tmp_path / "run" / picture).std() > 0.05


def test_both_solvers_train_alike(tmp_path: Path) -> None:
    words = "--examples", "24", "--test-examples", "12", "--epochs", "2", "--method", "perturbed"
    by_solver, by_table = run(tmp_path / "a", *words), run(tmp_path / "b", *words, "--solver", "table")
    for score in ("rank", "same", "regret"):
        assert by_solver["perturbed"][score] == pytest.approx(by_table["perturbed"][score])


def test_a_formula_of_a_file_and_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in (("a.cnf", FREE), ("b.cnf", NONE), ("c.cnf", ONE), ("d.cnf", FREE.replace("1 2", "1 -2"))):
        file_of(text, tmp_path, name)
    one = source(data=f"weights:{tmp_path}")
    assert [one.wishes(split).name for split in (0, 1)] == ["a.cnf", "d.cnf"]
    assert one.wishes(0).different() >= LEAST
    with pytest.raises(InputError, match=r"fewer than 3 of its \*\.cnf files have"):
        one.wishes(2)
    own = file_of("p wcnf 3 4 9\n9 1 2 0\n2 1 0\n1 -2 3 0\n4 -3 0\n", tmp_path, "own.wcnf")
    formula = source(data=f"weights:{own}").wishes(0).formula
    assert [(soft.clause, float(soft.weight)) for soft in formula.soft] == [((1,), 1), ((-2, 3), 1), ((-3,), 1)]
    words = ["--examples", "8", "--given", "1", "--epochs", "1", "--test-examples", "4", "--method", "interpolation"]
    assert main(["sat", "--data", f"weights:{tmp_path / 'a.cnf'}", *words, "--out", str(tmp_path / "run")]) == 0
    assert "a.cnf, 9 variables, 16 soft clauses" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (NONE, "a.cnf has no model: there is nothing to learn"),
        (ONE, "a.cnf has a single model: there is nothing to learn"),
        (TWO, r"a\.cnf: of 2 assignments that were drawn, \d are the best of no example"),
        ("p cnf 2 2\n1 0\n9 0\n", r"a\.cnf.*line 3: literal 9, but the variables are 1\.\.2"),
        ("p cnf 2 2\n1 0\n", "a.cnf.*announces 2 clauses and has 1: it was cut short"),
        ("p cnf 2 1\n1 x 0\n", r"a\.cnf.*line 2: 'x' is not a literal"),
    ],
)
def test_bad_files(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        source(data=f"weights:{file_of(text, tmp_path)}", given=0).load(0)


def test_bad_data(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.cnf"):
        source(data="weights:nowhere.cnf").load(0)
    with pytest.raises(InputError, match="fewer than 1 of its"):
        source(data=f"weights:{tmp_path}").load(0)
    bound = file_of("* #variable= 2 #constraint= 1\n+1 x1 +1 x2 >= 1;\n", tmp_path, "a.opb")
    with pytest.raises(InputError, match=r"a\.opb has cardinality or pseudo-Boolean constraints: give clauses"):
        source(data=f"weights:{bound}").load(0)
    with pytest.raises(InputError, match="given=21, but the configuration has 20 variables"):
        source(given=21).load(0)
    with pytest.raises(InputError, match=r"label_noise=-1\.0 must be at least 0"):
        source(label_noise=-1.0)
    with pytest.raises(InputError, match=r"data='weights:' must be one of .*weights\[:PATH\]"):
        source(data="weights:")
    with pytest.raises(InputError, match="more than 20000 assignments: take --solver auto"):
        Table(Wishes.of("it", Formula(15, ((1, 2),)), 3, np.random.default_rng(0)))
    sudoku = Satisfiability(boards=6, test_boards=3)
    with pytest.raises(InputError, match="solver 'table' is none of auto"):
        sudoku.solver("table", None)


def test_the_table_takes_instances_row_by_row() -> None:
    formula = Formula(3, ((1, 2, 3),), soft=tuple(Soft((k,), Fraction(1)) for k in (1, 2, 3)))
    table = Table(Wishes.of("it", formula, 0, np.random.default_rng(0)))
    given = SatInstances(literals=np.array([[-1, 0, 0], [3, -2, 0], [-1, -2, -3]]))
    found = table.solve(np.array([[2.0, 1.0, -3.0]] * 3), given)
    assert np.array_equal(found.y[:2], [[0, 1, 0], [1, 0, 1]])
    assert found.status.tolist() == [Status.OPTIMAL, Status.OPTIMAL, Status.INFEASIBLE]
