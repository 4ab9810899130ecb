"""What a file may unpack to and how many tokens it may have; PySAT's .cnf+ and .wcnf+ beside its own readers."""

from __future__ import annotations

import gzip
import resource
from pathlib import Path

import numpy as np
import pytest

import combdiff
from combdiff_solvers.files import read_lines
from combdiff_solvers.formulas.formula import Formula, Soft
from combdiff_solvers.formulas.formula_files import read_formula
from combdiff_solvers.protocol import Status

pysat = pytest.importorskip("pysat.formula", reason="python-sat is not installed")
pytest.importorskip("ortools", reason="OR-Tools is not installed")

GROWTH = 400 * 1024
"""KiB; the bombs below took 2 to 8 GiB"""

SMALL = {
    "f.cnf": "p cnf 2 1\n1 2 0\n",
    "f.wcnf": "h 1 2 0\n3 -1 0\n",
    "f.opb": "+1 x1 +1 x2 >= 1 ;\n",
    "f.lp": "min\n obj: x + y\nst\n c: x + y >= 1\nbin\n x y\nend\n",
    "f.mps": "NAME m\nROWS\n N obj\n G c\nCOLUMNS\n x obj 1 c 1\n y obj 1 c 1\nRHS\n r c 1\nENDATA\n",
}
HEADS = {
    "b.cnf": "p cnf 1 1\n",
    "b.wcnf": "",
    "b.opb": "",
    "b.lp": "min\n obj: x\nst\n c: x",
    "b.mps": "NAME m\nROWS\n",
}
BODIES = {"b.cnf": "1 0 ", "b.wcnf": "h 1 0 ", "b.opb": "+1 x1 ", "b.lp": "+x", "b.mps": " N r\n"}


@pytest.mark.parametrize("name", sorted(SMALL))
@pytest.mark.parametrize("packed", ["", ".gz"])
def test_the_limits_can_be_set_for_every_kind_of_file(tmp_path: Path, name: str, packed: str) -> None:
    path, content = tmp_path / (name + packed), SMALL[name].encode()
    path.write_bytes(gzip.compress(content) if packed else content)
    assert combdiff.wrap(path).solve(np.ones((1, 2))).status[0] == Status.OPTIMAL
    assert combdiff.wrap(path, max_bytes=len(content), max_tokens=100).shape == (2,)
    with pytest.raises(ValueError, match=rf"{name}.*more than {len(content) - 1} bytes: raise max_bytes"):
        combdiff.wrap(path, max_bytes=len(content) - 1)
    with pytest.raises(ValueError, match="more than 5 tokens: raise max_tokens"):
        combdiff.wrap(path, max_tokens=5)


def grown_by(path: Path, match: str) -> int:
    """By how many KiB the peak memory grows while the file is refused."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=match):
        combdiff.wrap(path)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before


@pytest.mark.parametrize("name", sorted(HEADS))
def test_bombs_are_refused_before_they_fill_the_memory(tmp_path: Path, name: str) -> None:
    """96 MiB of one statement without an end, packed to some 100 kB."""
    path = tmp_path / f"{name}.gz"
    with gzip.open(path, "wb", compresslevel=6) as file:
        file.write(HEADS[name].encode())
        block = BODIES[name].encode() * (2**20 // len(BODIES[name]))
        for _ in range(96):
            file.write(block)
    assert path.stat().st_size < 500_000
    assert grown_by(path, "more than 8388608 tokens") < GROWTH


@pytest.mark.parametrize("name", sorted(SMALL))
def test_newlines_alone_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"\n" * (100 * 2**20))
    assert grown_by(path, "more than 8388608 tokens") < GROWTH


def test_lines_are_the_files_lines(tmp_path: Path) -> None:
    """Whatever the chunks that they are read in, and with characters of several bytes across their borders."""
    text = "\n".join("é" * int(n) + "\r" for n in np.random.default_rng(0).integers(0, 300_000, size=12)) + "\n\ntail"
    path = tmp_path / "text"
    path.write_bytes(text.encode())
    assert list(read_lines(path)) == text.split("\n")
    path.write_bytes(b"")
    assert list(read_lines(path)) == [""]


@pytest.mark.parametrize("packed", ["", ".gz"])
def test_cnf_plus_means_what_pysat_reads(tmp_path: Path, packed: str) -> None:
    rng = np.random.default_rng(0)
    y = np.array([[place >> bit & 1 for bit in range(5)] for place in range(32)])
    for trial in range(30):
        lines = ["p cnf+ 5 5"]
        for _ in range(2):
            lines.append(" ".join(str(int(v) * int(rng.choice([-1, 1]))) for v in rng.choice(5, 3) + 1) + " 0")
        for _ in range(2):
            lines.append(f"{' '.join(map(str, rng.choice(5, 3, replace=False) + 1))} {rng.choice(['<=', '>='])} 1")
        terms = " ".join(f"{rng.integers(1, 5)}*{int(v) * int(rng.choice([-1, 1]))}" for v in (1, 3, 5))
        lines.append(f"w {terms} {rng.choice(['<=', '>='])} 3")
        plain, path = tmp_path / f"{trial}.cnf+", tmp_path / f"{trial}.cnf+{packed}"
        plain.write_text("\n".join(lines) + "\n")
        if packed:
            path.write_bytes(gzip.compress(plain.read_bytes()))
        ours = combdiff.wrap(path)
        theirs = combdiff.wrap(pysat.CNFPlus(from_file=str(plain)))
        np.testing.assert_array_equal(ours.formula.satisfied(y), theirs.formula.satisfied(y))  # type: ignore[attr-defined]


def test_wcnf_plus_as_pysat_writes_it(tmp_path: Path) -> None:
    formula = pysat.WCNFPlus()
    formula.append([1, 2])
    formula.append([[1, 2, 3], 1], is_atmost=True)
    formula.append([[2, -3, 4], 4, [1, 2, 3]], is_atmost=True)
    formula.append([-1, -4], weight=3)
    formula.append([4], weight=2)
    formulas: list[Formula] = []
    for style in ("mse22", "legacy"):
        formula.to_file(str(tmp_path / f"{style}.wcnf+"), format=style)
        formulas.append(read_formula(tmp_path / f"{style}.wcnf+")[0])
    assert formulas[0] == formulas[1]
    assert formulas[0].soft == (Soft((-1, -4), 3), Soft((4,), 2))  # type: ignore[arg-type]
    y = np.array([[place >> bit & 1 for bit in range(4)] for place in range(16)])
    x1, x2, x3, x4 = y.T
    good = (x1 + x2 >= 1) & (x1 + x2 + x3 <= 1) & (x2 + 2 * (1 - x3) + 3 * x4 <= 4)
    np.testing.assert_array_equal(formulas[0].satisfied(y), good)


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("f.cnf", "p cnf+ 2 1\n1 2 <= 1\n", "p cnf VARIABLES"),
        ("f.cnf", "p cnf 2 1\n1 2 <= 1\n", "'<=' is not a literal"),
        ("f.cnf+", "p cnf+ 2 1\n1 2 <=", "cut short"),
        ("f.cnf+", "p cnf+ 2 1\n1 2 <= x\n", "'x' is not a bound"),
        ("f.cnf+", "p cnf+ 2 1\n1 3 <= 1\n", "line 2: literal 3"),
        ("f.cnf+", "p cnf+ 2 1\nw 1*1 2 <= 1\n", r"'2' is not WEIGHT\*LITERAL"),
        ("f.cnf+", "p cnf+ 2 1\nw 1*1 x*2 <= 1\n", "'x' is not a weight"),
        ("f.cnf+", "p cnf+ 2 1\nw 1*0 <= 1\n", "literal 0"),
        ("f.cnf+", "p cnf+ 2 2\n1 2 <= 1\n", "announces 2 clauses and has 1"),
        ("f.wcnf+", "3 1 2 <= 1\n", "line 1: a constraint has to be hard, but its weight is 3"),
    ],
)
def test_bad_constraints_are_refused(tmp_path: Path, name: str, content: str, match: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(ValueError, match=match):
        combdiff.wrap(path)
