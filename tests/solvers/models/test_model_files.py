"""MPS and LP files: read, refused with a reason, and fuzzed."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from combdiff.solvers import Status, wrap

mathopt = pytest.importorskip("ortools.math_opt.python.mathopt")

from ortools.linear_solver import pywraplp  # noqa: E402

from combdiff_solvers.models.lp_format import read_lp  # noqa: E402
from combdiff_solvers.models.model_files import read_model, read_mps  # noqa: E402

LP = """\\ a comment
Maximize
 obj: 2 x + 3 y - z + 4
Subject To
 c1: x + 2 y + z <= 4
 -1 <= x - y <= 2
 c3: z >= 1
Bounds
 y <= 3
 -inf <= w <= 5
 z free
Generals
 y
Binaries
 x
End
"""


def exported(seed: int) -> tuple[str, str, pywraplp.Solver]:
    """A random model as MPS and as LP text."""
    rng = np.random.default_rng(seed)
    model = pywraplp.Solver.CreateSolver("SCIP")
    x = [model.IntVar(0, 3, f"x{i}") if i % 2 else model.NumVar(-2.5, 4, f"x{i}") for i in range(5)]
    for _ in range(3):
        model.Add(sum(int(c) * v for c, v in zip(rng.integers(-3, 4, 5), x, strict=True)) <= int(rng.integers(1, 8)))
    model.Maximize(sum(float(c) * v for c, v in zip(rng.normal(size=5).round(3), x, strict=True)))
    return model.ExportModelAsMpsFormat(False, False), model.ExportModelAsLpFormat(False), model


@pytest.mark.parametrize("packed", [False, True])
def test_files_and_the_model_agree(tmp_path: Path, packed: bool) -> None:
    for seed in range(5):
        mps, lp, model = exported(seed)
        theta = np.random.default_rng(seed).normal(size=(4, 5))
        names = [f"x{i}" for i in range(5)]
        expected = wrap(model, model.variables()).solve(theta)
        for kind, text in (("mps", mps), ("lp", lp)):
            path = tmp_path / (f"model.{kind}.gz" if packed else f"model.{kind}")
            path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
            found = wrap(str(path), names).solve(theta)
            np.testing.assert_array_equal(found.status, expected.status)
            np.testing.assert_allclose(found.objective, expected.objective, atol=1e-6)
            assert wrap(path).shape == (5,)


def test_a_file_on_cp_sat(tmp_path: Path) -> None:
    path = tmp_path / "knapsack.lp"
    path.write_text("Maximize\n obj: 2 b\nSubject To\n c: 3 a + 4 b + 2.5 c <= 6.5\nBinary\n a b c\nEnd\n")
    theta = np.random.default_rng(0).normal(size=(20, 3))
    found, expected = wrap(path, backend="cp_sat").solve(theta), wrap(path, backend="scip").solve(theta)
    np.testing.assert_array_equal(found.y, expected.y)
    np.testing.assert_allclose(found.objective, expected.objective)


def test_lp_by_hand() -> None:
    model = read_lp(LP)
    assert model.names == ("x", "y", "z", "w")
    assert model.maximize
    assert model.offset == 4
    assert model.lower.tolist() == [0, 0, -np.inf, -np.inf]
    assert model.upper.tolist() == [1, 3, np.inf, 5]
    assert model.integer.tolist() == [True, True, False, False]
    assert model.row_lower.tolist() == [-np.inf, -1, 1]
    assert model.row_upper.tolist() == [4, 2, np.inf]
    assert model.A.toarray().tolist() == [[1, 2, 1, 0], [1, -1, 0, 0], [0, 0, 1, 0]]


def test_bounds_of_binaries_are_kept() -> None:
    bounds = "bounds\n 0 <= x <= 0\n y >= 1\n -3 <= z <= 7\n w free\n 2 <= v\n"
    for sections in (bounds + "binaries\n x y z w v\n", "binaries\n x y z w v\n" + bounds):
        model = read_lp("min\n x + y + z + w + v\nst\n x + y >= 0\n" + sections + "end")
        assert model.lower.tolist() == [0, 1, 0, 0, 2]
        assert model.upper.tolist() == [0, 1, 1, 1, 1]
        assert model.integer.all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "begins with"),
        ("x + y <= 3", "begins with"),
        ("min\n x\nst\n x >= 1\n", "truncated"),
        ("min\n x\nst\n x >= \nend", "number"),
        ("min\n x\nst\n x 3\nend", "line 4"),
        ("min\n x\nst\n >= 3\nend", "variables"),
        ("min\n [ x ^ 2 ] / 2\nst\n x >= 1\nend", "line 2"),
        ("min\n x\nst\n x >= 1\nbounds\n x\nend", "bound"),
        ("min\n x\nst\n x >= 1\nsos\n s1: x:1\nend", "not supported"),
        ("min\n x y\nst\n x >= 1\nend", "objective"),
    ],
)
def test_bad_lp(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_lp(text)


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no file"):
        wrap(tmp_path / "none.mps")
    with pytest.raises(ValueError, match="suffixes"):
        wrap(tmp_path / "model.txt")
    for name, content in {
        "half.mps": exported(0)[0][:300].encode(),
        "half.mps.gz": gzip.compress(exported(0)[0].encode())[:-20],
        "plain.mps.gz": exported(0)[0].encode(),
        "binary.lp": b"\x7fELF\0\0",
        "empty.mps": b"",
        "empty.lp": b"min\nend\n",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name}"):
            wrap(tmp_path / name)
    (tmp_path / "model.lp").write_text(LP)
    with pytest.raises(ValueError, match="no variable 'q'; it has x, y, z, w"):
        wrap(tmp_path / "model.lp", ["x", "q"])
    with pytest.raises(ValueError, match="same variable"):
        wrap(tmp_path / "model.lp", ["x", "x"])


def test_every_cut_of_an_mps_file_is_refused() -> None:
    text = exported(1)[0]
    for end in range(0, len(text.rstrip()) - 1, 3):
        with pytest.raises(ValueError, match=r"."):
            read_mps(text[:end])


def mutated(text: str, rng: np.random.Generator) -> str:
    """A few bytes changed, lines doubled, dropped or swapped."""
    lines = text.splitlines()
    for _ in range(int(rng.integers(1, 4))):
        at, other = rng.integers(0, len(lines), size=2)
        match rng.integers(5):
            case 0:
                lines[at] = lines[other]
            case 1:
                lines[at] = ""
            case 2:
                column = int(rng.integers(0, len(lines[at]) + 1))
                lines[at] = lines[at][:column] + chr(int(rng.integers(32, 300))) + lines[at][column + 1 :]
            case 3:
                lines[at] = lines[at].replace("1", "1e308").replace("x", "-inf ")
            case _:
                words = lines[at].split()
                rng.shuffle(words)
                lines[at] = " " + " ".join(words)
    return "\n".join(lines)


@pytest.mark.parametrize("kind", ["mps", "lp"])
def test_hostile_files_give_a_model_or_a_value_error(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    path = tmp_path / f"model.{kind}"
    texts = [exported(seed)[0 if kind == "mps" else 1] for seed in range(4)]
    read, refusals = 0, list[str]()
    for trial in range(1000):
        path.write_text(mutated(texts[trial % 4], rng), encoding="utf-8")
        try:
            read_model(path)
            read += 1
        except ValueError as error:
            refusals.append(str(error))
    assert 0 < read < 1000
    assert all(str(path) in refusal for refusal in refusals)


def test_hostile_models_that_can_be_read_end_with_a_status(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    texts = [exported(seed)[1] for seed in range(3)]
    path = tmp_path / "model.lp"
    solved = 0
    for trial in range(60):
        path.write_text(mutated(texts[trial % 3], rng), encoding="utf-8")
        try:
            solver = wrap(path, time_limit=1.0)
        except ValueError:
            continue
        found = solver.solve(rng.normal(size=(1, solver.shape[0])))
        assert Status(found.status[0]) in Status
        solved += 1
    assert solved > 5
