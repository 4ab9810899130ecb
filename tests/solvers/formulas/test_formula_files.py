"""Readers of .cnf, .wcnf and .opb files: what they mean, what they refuse, and fuzzing."""

from __future__ import annotations

import gzip
import itertools
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy import ndarray

import combdiff
from combdiff_solvers.formulas.formula import AtMost, Formula
from combdiff_solvers.formulas.formula_files import read_formula
from combdiff_solvers.protocol import Sense, Status

pytest.importorskip("pysat", reason="python-sat is not installed")

CNF = "c by hand\np cnf 3 3\n1 -2 0\n2 3\n 0 -1 -3 0\n%\n0\n"
WCNF_OLD = "p wcnf 3 4 10\n10 1 -2 0\n10 2 3 0\n3 -1 -3 0\n2 2 0\n"
WCNF_NEW = "c the format of 2022\nh 1 -2 0\nh 2 3 0\n3 -1 -3 0\n2 2 0\n"
OPB = """* #variable= 4 #constraint= 3
* a comment
min: +2 x1 -3 x2 +1 ~x3 ;
+1 x1 +1 x2 +1 x3 >= 1 ;
+3 x1 -2 x2
 +4 x4 <= 3 ;
+1 x1 +1 ~x4 = 1;
"""
FILES = {"a.cnf": CNF, "old.wcnf": WCNF_OLD, "new.wcnf": WCNF_NEW, "b.opb": OPB}


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    raw = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return path


def assignments(n: int) -> ndarray:
    return np.array(list(itertools.product((0.0, 1.0), repeat=n)))


@pytest.mark.parametrize("packed", ["", ".gz"])
def test_cnf(tmp_path: Path, packed: str) -> None:
    formula, sense = read_formula(written(tmp_path, "f.cnf" + packed, CNF))
    assert formula == Formula(3, ((1, -2), (2, 3), (-1, -3)))
    assert sense is None
    solver = combdiff.wrap(written(tmp_path, "g.cnf" + packed, CNF), [3, 1])
    np.testing.assert_array_equal(solver.solve(np.array([[-1.0, 0.5], [1.0, -0.5]])).y, [[1, 0], [0, 1]])


@pytest.mark.parametrize("packed", ["", ".gz"])
def test_both_formats_of_wcnf_mean_the_same(tmp_path: Path, packed: str) -> None:
    old, _ = read_formula(written(tmp_path, "old.wcnf" + packed, WCNF_OLD))
    new, _ = read_formula(
        written(tmp_path, "new.WCNF" + packed.upper(), WCNF_NEW)
        if not packed
        else written(tmp_path, "new.wcnf.gz", WCNF_NEW)
    )
    assert old == new
    assert [(one.clause, int(one.weight)) for one in old.soft] == [((-1, -3), 3), ((2,), 2)]
    y = assignments(3)
    good = old.satisfied(y)
    h = 3 * ((y[:, 0] == 1) & (y[:, 2] == 1)) + 2 * (y[:, 1] == 0)
    found = combdiff.wrap(str(written(tmp_path, "again.wcnf", WCNF_OLD))).solve(np.array([[0.5, -1.0, 0.1]]))
    assert found.objective[0] == pytest.approx((y @ [0.5, -1.0, 0.1] + h)[good].min())


def test_wcnf_without_a_top_has_soft_clauses_only(tmp_path: Path) -> None:
    formula, _ = read_formula(written(tmp_path, "f.wcnf", "p wcnf 2 2\n1 1 0\n5 -1 2 0\n"))
    assert not formula.hard
    assert len(formula.soft) == 2


def test_opb_against_enumeration(tmp_path: Path) -> None:
    path = written(tmp_path, "f.opb", OPB)
    formula, sense = read_formula(path)
    assert sense is Sense.MIN
    y = assignments(4)
    x1, x2, x3, x4 = y.T
    good = (x1 + x2 + x3 >= 1) & (3 * x1 - 2 * x2 + 4 * x4 <= 3) & (x1 + 1 - x4 == 1)
    np.testing.assert_array_equal(formula.satisfied(y), good)
    own = 2 * x1 - 3 * x2 + (1 - x3)
    theta = np.random.default_rng(0).normal(size=(50, 4))
    for backend in ("rc2", "cp_sat"):
        if backend == "cp_sat":
            pytest.importorskip("ortools", reason="OR-Tools is not installed")
        found = combdiff.wrap(path, backend=backend).solve(theta)
        np.testing.assert_allclose(found.objective, (theta @ y.T + own)[:, good].min(axis=1), atol=1e-9)
    with pytest.raises(ValueError, match="minimized"):
        combdiff.wrap(path, sense="max")
    most = combdiff.wrap(written(tmp_path, "g.opb", OPB.replace("min:", "max:")))
    assert most.sense is Sense.MAX
    np.testing.assert_allclose(most.solve(theta).objective, (theta @ y.T + own)[:, good].max(axis=1), atol=1e-9)


def test_random_opb_against_enumeration(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    y = assignments(6)
    infeasible = 0
    for trial in range(60):
        lines, good = [], np.ones(64, dtype=bool)
        for _ in range(3):
            weights = rng.integers(-7, 8, size=6)
            side, relation = int(rng.integers(-6, 10)), str(rng.choice([">=", "<=", "="], p=[0.45, 0.45, 0.1]))
            negated = rng.random(6) < 0.3
            terms = " ".join(
                f"{w:+d} {'~' if n else ''}x{i + 1}" for i, (w, n) in enumerate(zip(weights, negated, strict=True))
            )
            lines.append(f"{terms} {relation} {side} ;")
            total = np.where(negated, 1 - y, y) @ weights
            good &= {">=": total >= side, "<=": total <= side, "=": total == side}[relation]
        found = combdiff.wrap(written(tmp_path, f"{trial}.opb", "\n".join(lines))).solve(
            theta := rng.normal(size=(1, 6))
        )
        if not good.any():
            infeasible += 1
            assert found.status[0] == Status.INFEASIBLE
            continue
        assert found.status[0] == Status.OPTIMAL
        np.testing.assert_allclose(found.objective[0], (y[good] @ theta[0]).min(), atol=1e-12)
    assert 0 < infeasible < 50


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("f.cnf", "", "p cnf"),
        ("f.cnf", "1 2 0\n", "p cnf"),
        ("f.cnf", "p cnf 3\n", "ends before"),
        ("f.cnf", "p cnf -3 1\n1 0\n", "line 1"),
        ("f.cnf", "p cnf 2 1\n1 3 0\n", r"line 2: literal 3, but the variables are 1\.\.2"),
        ("f.cnf", "p cnf 2 2\n1 2 0\n", "announces 2 clauses and has 1: it was cut short"),
        ("f.cnf", "p cnf 2 1\n1 2 0\n-1 0\n", "announces 1 clauses and has 2"),
        ("f.cnf", "p cnf 2 1\n1 2\n", "inside a clause"),
        ("f.cnf", "p cnf 2 1\n1 two 0\n", "'two' is not a literal"),
        ("f.cnf", "p cnf 2000000000 1\n1 0\n", "at most"),
        ("f.cnf", "p cnf 2 1\n" + "9" * 5000 + " 0\n", "not a literal"),
        ("f.cnf", "p cnf 0 0\n", "empty"),
        ("f.wcnf", "p cnf 1 1\n1 1 0\n", "p wcnf"),
        ("f.wcnf", "p wcnf 1 1 5\nx 1 0\n", "neither 'h' nor a weight"),
        ("f.wcnf", "1e99999999 1 0\n", "neither 'h' nor a weight"),
        ("f.wcnf", "h 1 2", "inside a clause"),
        ("f.wcnf", "h 99999999999 0", r"literal 99999999999"),
        ("f.wcnf", "", "empty"),
        ("f.opb", "+1 x1 +2 x2 >= 1", "cut short"),
        ("f.opb", "+1 x1 x2 >= 1 ;", "products"),
        ("f.opb", "+1 y1 >= 1 ;", "x1, x2"),
        ("f.opb", "+1 x1 > 1 ;", "does not end"),
        ("f.opb", "+1 x0 >= 1 ;", "x1, x2"),
        ("f.opb", "+1 x99999999999 >= 1 ;", "refused"),
        ("f.opb", "* #variable= 1 #constraint= 2\n+1 x1 >= 1 ;", "announces 2 constraints and has 1"),
        ("f.opb", "* #variable= 1 #constraint= 1\n+1 x2 >= 1 ;", "announces 1 variables"),
        ("f.opb", "+1 x1 >= 1 ;\nmin: +1 x1 ;", "first statement"),
        ("f.opb", "", "empty"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, name: str, content: str, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        combdiff.wrap(written(tmp_path, name, content))


def test_bad_archives_are_refused(tmp_path: Path) -> None:
    whole = gzip.compress(CNF.encode() * 50)
    for content in (whole[: len(whole) // 2], b"plain text", whole[:5], whole[:-6] + b"zzzzzz"):
        path = tmp_path / "f.cnf.gz"
        path.write_bytes(content)
        with pytest.raises(ValueError, match="gzip"):
            combdiff.wrap(path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        combdiff.wrap("nowhere.cnf")


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_cut_file_is_refused_or_whole(tmp_path: Path, name: str) -> None:
    """A file that is cut anywhere is refused, or (in formats that announce nothing) ends after a whole clause."""
    text = FILES[name]
    whole, _ = read_formula(written(tmp_path, name, text))
    for cut in range(len(text)):
        try:
            formula, _ = read_formula(written(tmp_path, name, text[:cut]))
        except ValueError as error:
            assert name in str(error)  # noqa: PT017
            continue
        announced = name != "new.wcnf"
        assert formula == whole if announced else set(formula.hard) <= set(whole.hard)


@pytest.mark.parametrize("name", sorted(FILES))
def test_fuzzed_files_give_a_formula_or_a_value_error(tmp_path: Path, name: str) -> None:
    """Bytes changed, added, doubled and dropped at random, tokens swapped: a formula or a ValueError, and quickly."""
    rng = np.random.default_rng(2)
    source = FILES[name].encode()
    hostile = [
        b"-",
        b"0",
        b"\x00",
        b"\xff",
        b"99999999999999999999",
        b" ",
        b"\n",
        b";",
        b"~",
        b"h",
        b"p ",
        b"%",
        b"1e9",
        b"=",
        b"x",
    ]
    read = 0
    for trial in range(300):
        raw = bytearray(source)
        for _ in range(int(rng.integers(1, 4))):
            place = int(rng.integers(0, len(raw)))
            match int(rng.integers(0, 4)):
                case 0:
                    raw[place] = int(rng.integers(0, 256))
                case 1:
                    raw[place:place] = hostile[int(rng.integers(0, len(hostile)))]
                case 2:
                    del raw[place : place + int(rng.integers(1, 9))]
                case _:
                    raw[place:place] = raw[place : place + 20]
            if not raw:
                raw = bytearray(b"p")
        try:
            formula, _ = read_formula(written(tmp_path, f"{trial % 4}-{name}", bytes(raw)))
        except ValueError:
            continue
        read += 1
        if trial % 10 == 0 and formula.variables < 100:
            theta = np.ones((1, formula.variables))
            found = combdiff.wrap(tmp_path / f"{trial % 4}-{name}").solve(theta)
            assert found.status[0] in (Status.OPTIMAL, Status.INFEASIBLE)
            if found.status[0] == Status.OPTIMAL:
                assert formula.satisfied(found.y)[0]
    assert read > 0


def test_at_most_is_simplified() -> None:
    assert AtMost.of([(2, 1), (2, -1)], 5) == AtMost((), 3, ())
    assert AtMost.of([(4, 1), (-2, 2)], 3) == AtMost((1, -2), 2, (2, 1))


def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "f.cnf", CNF)
    monkeypatch.delitem(sys.modules, "combdiff_solvers.formulas.formula_cp_sat", raising=False)
    monkeypatch.setitem(sys.modules, "ortools.sat.python", None)
    with pytest.raises(ImportError, match=r"combdiff\[ortools\]"):
        combdiff.wrap(path, backend="cp_sat")
    for module in ("sat", "rc2"):
        monkeypatch.delitem(sys.modules, f"combdiff_solvers.formulas.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "pysat.examples.rc2", None)
    with pytest.raises(ImportError, match=r"combdiff\[sat\]"):
        combdiff.wrap(path)


def satlib() -> Path:
    root = os.environ.get("COMBDIFF_DATA")
    if not root or not (Path(root) / "satlib").is_dir():
        pytest.skip("COMBDIFF_DATA names no folder with satlib")
    return Path(root) / "satlib"


@pytest.mark.parametrize(("folder", "satisfiable"), [("uf20-91", True), ("uf50-218", True), ("uuf50-218", False)])
def test_satlib_is_decided_right(folder: str, satisfiable: bool) -> None:
    files: list[Any] = sorted((satlib() / folder).glob("*.cnf"))
    assert len(files) >= 99
    rng = np.random.default_rng(3)
    for path in files:
        solver = combdiff.wrap(path)
        found = solver.solve(rng.normal(size=(1, *solver.shape)))
        assert found.status[0] == (Status.OPTIMAL if satisfiable else Status.INFEASIBLE), path.name
        if satisfiable:
            assert read_formula(path)[0].satisfied(found.y)[0], path.name
