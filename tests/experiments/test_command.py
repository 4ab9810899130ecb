"""The command line: every method on every source, and what it refuses."""

from __future__ import annotations

import csv
import json
import os
import sys
from pathlib import Path

import matplotlib.image
import pytest
import torch

from experiments.__main__ import main
from experiments.harness.train import Training

TINY = ["--maps", "8", "--validation-maps", "6", "--test-maps", "6", "--epochs", "1", "--batch", "4", "--workers", "1"]

METHODS = ["perturbed", "interpolation", "mask-network", "two-stage"]


def start(*arguments: str) -> int:
    return main(["shortest-path", *arguments])


def check_folder(folder: Path, methods: list[str]) -> None:
    rows = json.loads((folder / "summary.json").read_text())
    assert [row["method"] for row in rows] == [*methods, "constant costs", "straight line"]
    with (folder / "summary.csv").open() as stream:
        assert [row["method"] for row in csv.DictReader(stream)] == [row["method"] for row in rows]
    for row in rows:
        assert 0 <= row["optimal"] <= row["free"] <= 1
        assert row["ratio"] is None or row["ratio"] >= 1
    with (folder / "metrics.csv").open() as stream:
        assert [row["method"] for row in csv.DictReader(stream)] == methods
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert all(f">{row['method']}</th>" in page for row in rows)
    for name in ("maps.png", "curves.png"):
        picture = matplotlib.image.imread(folder / name)
        assert min(picture.shape[:2]) > 200
        assert picture[..., :3].std() > 0.02, f"{name} is blank"


def test_digits_with_every_method(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    assert start(*TINY, "--out", str(folder)) == 0
    check_folder(folder, METHODS)
    out = capsys.readouterr().out
    assert "smooth digit terrain, 12×12" in out
    assert str(folder / "maps.png") in out
    assert "two-stage" in out
    assert "\x1b" not in out, "no bars or colours where it is not a terminal"


def test_warcraft(warcraft: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert start("--data", f"warcraft:{warcraft}", "--method", *METHODS, *TINY, "--out", str(folder)) == 0
    check_folder(folder, METHODS)


def test_training_needs_no_true_costs(warcraft: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for split in ("train", "val", "test"):
        (warcraft / f"{split}_vertex_weights.npy").unlink()
    folder = tmp_path / "run"
    assert start("--data", f"warcraft:{warcraft}", *TINY, "--out", str(folder)) == 0
    rows = json.loads((folder / "summary.json").read_text())
    assert [row["method"] for row in rows] == [*METHODS[:-1], "constant costs", "straight line"]
    assert all(row["optimal"] is None and 0 <= row["match"] <= 1 for row in rows)
    out = capsys.readouterr().out
    assert "no true costs: two-stage is left out" in out
    assert "no true costs: the scores that need them are left out" in out
    assert "cost ratio" not in out
    only = ["--method", "two-stage", "--out", str(tmp_path / "two-stage")]
    assert start("--data", f"warcraft:{warcraft}", *TINY, *only) == 2
    assert "two-stage needs the true costs" in capsys.readouterr().err


def test_planning(planning: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert start("--data", f"planning:{planning}", "--method", *METHODS, *TINY, "--out", str(folder)) == 0
    check_folder(folder, METHODS)


def test_real_planning_maps(tmp_path: Path) -> None:
    data = os.environ.get("COMBDIFF_DATA")
    if data is None:
        pytest.skip("COMBDIFF_DATA is not set: it names the folder of the real data sets")
    arguments = ["--data", f"planning:{data}/planning", "--environment", "mazes", "--method", "perturbed"]
    assert start(*arguments, *TINY, "--out", str(tmp_path / "run")) == 0
    check_folder(tmp_path / "run", ["perturbed"])


def test_losses_noises_and_means_over_splits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], no_pictures: None
) -> None:
    options = ["--loss", "squared", "--mode", "multiplicative", "--sigma", "0.5", "--samples", "2", "--lam", "1"]
    folder = tmp_path / "run"
    assert start(*options, "--method", "perturbed", "interpolation", "--splits", "2", *TINY, "--out", str(folder)) == 0
    rows = json.loads((folder / "summary.json").read_text())
    assert [row["split"] for row in rows] == [0] * 4 + [1] * 4 + ["mean"] * 4
    mean = rows[-1]
    assert mean["optimal"] == pytest.approx((rows[3]["optimal"] + rows[7]["optimal"]) / 2)
    assert " ± " in capsys.readouterr().out
    assert start("--noise", "gumbel", "--method", "perturbed", *TINY, "--out", str(tmp_path / "gumbel")) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "mnist"], "data='mnist': write digits, warcraft:PATH, planning:PATH or npz:PATH"),
        (["--data", "warcraft"], "write digits, warcraft:PATH, planning:PATH or npz:PATH"),
        (["--data", "own.npz"], "data='own.npz': write digits, warcraft:PATH, planning:PATH or npz:PATH"),
        (["--data", "npz:own.npz", "--size", "4"], "size=4 goes with digits and warcraft"),
        (["--data", "warcraft:/nowhere"], "/nowhere does not exist"),
        (["--data", "planning:/nowhere"], "/nowhere does not exist"),
        (["--method", "interpolation", "--loss", "fenchel-young"], "needs a smoothed layer"),
        (["--sigma", "0"], "sigma=0.0 must be a positive, finite number"),
        (["--lam", "nan"], "lam=nan must be a positive, finite number"),
        (["--splits", "0"], "a run needs at least one solver and one split"),
        (["--size", "1"], "size=1 must be at least 2"),
        (["--maps", "0"], "maps=0 must be at least 1"),
        (["--noise", "gumbel", "--mode", "multiplicative"], "multiplicative noise is log-normal"),
        (["--workers", "0"], "workers=0 must be at least 1"),
        (
            ["--method", "imitation"],
            "unknown method 'imitation': choose from adaptive-implicit-mle, adjacent-cauchy, bitonic",
        ),
        (["--method", "nowhere.at.all:Method"], "method 'nowhere.at.all:Method': No module named 'nowhere'"),
        (["--method", "pathlib:Path"], "pathlib has no class Path that derives from Method"),
        (["--method", "two-stage", "--lam", "2"], "unknown setting 'lam'"),
        (["--resume", "/nowhere"], "/nowhere is no results folder"),
        (["--split", "-1"], "split=-1 must be a whole number from 0 to 4294967294"),
        (["--split", "99999999999"], "split=99999999999 must be a whole number from 0 to 4294967294"),
        (["--seed", "99999999999999999999"], "seed=99999999999999999999 must be a whole number from 0"),
        (["--threads", "100000"], "threads=100000 must be from 1 to"),
    ],
)
def test_bad_options(arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = [] if "--resume" in arguments else ["--out", str(tmp_path / "run")]
    assert start(*TINY, *arguments, *out) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "value", "choices"),
    [
        (["--solver", "gurobi"], "gurobi", "glop"),
        (["--loss", "cosine"], "cosine", "hamming"),
        (["--terrain", "flat"], "flat", "smooth"),
        (["--preset", "tiny"], "tiny", "demo"),
    ],
)
def test_unknown_choices(arguments: list[str], value: str, choices: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        start(*arguments)
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert value in error
    assert choices in error


def test_missing_package_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("rich", "experiments."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rich", None)
    assert start(*TINY) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "rich" in error
    assert "pip install -e '.[dev]'" in error


def test_interrupted_run_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Training, "run_epoch", interrupted)
    assert start("--method", "two-stage", *TINY, "--out", str(tmp_path / "run")) == 130
    assert f"--resume {tmp_path / 'run'}" in capsys.readouterr().out


@pytest.mark.parametrize("steps", [1, 2, 3, 9, 10, 11])
def test_any_number_of_steps(steps: int, tmp_path: Path, no_pictures: None) -> None:
    sizes = ["--maps", "4", "--batch", "4", "--validation-maps", "4", "--test-maps", "4", "--epochs", str(steps)]
    assert start("--method", "two-stage", *sizes, "--out", str(tmp_path / "run")) == 0


def test_bad_folder_to_write_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "run", tmp_path / ("long" * 100)):
        assert start(*TINY, "--out", str(out)) == 2
        assert f"error: {out}" in capsys.readouterr().err


def test_bad_settings_of_a_resumed_run_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config.json"
    for text, message in [
        ("[]", "holds a list, but an object is expected"),
        ('{"perturbed.sigma": "big"}', "sigma='big' must be a positive number, auto, adaptive or adaptive:START"),
        ('{"splits": [0.5]}', "splits=(0.5,) must be a list of int"),
        ('{"splits": 3}', "splits=3 must be a list of int"),
        ('{"size": "12"}', "size='12' must be of type int or null"),
        ('{"terrain": "flat"}', "unknown terrain 'flat': choose from smooth, independent"),
        ('{"colour": "red"}', "unknown setting 'colour'"),
    ]:
        file.write_text(text.replace("{", '{"task": "shortest-path", '))
        assert start("--resume", str(tmp_path)) == 2
        assert message in capsys.readouterr().err


def test_resume_with_another_option(tmp_path: Path, capsys: pytest.CaptureFixture[str], no_pictures: None) -> None:
    folder = tmp_path / "run"
    assert start("--method", "two-stage", *TINY, "--out", str(folder)) == 0
    assert start("--resume", str(folder), "--method", "two-stage", "--workers", "1") == 0
    assert start("--resume", str(folder), "--epochs", "9") == 2
    assert "epochs is 1 there and 9 here" in capsys.readouterr().err
    assert start("--method", "two-stage", *TINY, "--out", str(folder)) == 2
    assert "holds a run already" in capsys.readouterr().err


def test_a_bad_device_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for device in ("gpu", "cuda:99"):
        assert start("--device", device) == 2
        assert f"device='{device}' cannot be used" in capsys.readouterr().err


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("task", ["shortest-path", "ranking --data digits --length 3 --lists 32 --test-lists 32"])
def test_trainings_on_a_gpu_go_on(task: str, tmp_path: Path, no_pictures: None) -> None:
    maps = TINY if task == "shortest-path" else ["--epochs", "2", "--batch", "16", "--workers", "1"]
    folder = tmp_path / "run"
    assert main([*task.split(), *maps, "--device", "cuda", "--out", str(folder)]) == 0
    summary = (folder / "summary.json").read_bytes()
    assert main([*task.split()[:1], "--resume", str(folder)]) == 0
    assert (folder / "summary.json").read_bytes() == summary


LAYERS = [
    *("identity", "straight-through", "implicit-mle", "adaptive-implicit-mle"),
    *("lagrangian-proximal", "score-function", "frank-wolfe"),
]


@pytest.mark.parametrize("task", ["shortest-path", "ranking"])
def test_every_layer_is_a_method(task: str, tmp_path: Path, no_pictures: None) -> None:
    sizes = {"shortest-path": [*TINY, "--size", "4"], "ranking": ["--lists", "12", "--epochs", "1", "--workers", "1"]}
    folder = tmp_path / "run"
    assert main([task, *sizes[task], "--method", *LAYERS, "--out", str(folder)]) == 0
    rows = json.loads((folder / "summary.json").read_text())
    assert [row["method"] for row in rows][: len(LAYERS)] == LAYERS
