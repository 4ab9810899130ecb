"""The commands of the report, read back by the command line."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from experiments.harness.command import configure, parse
from experiments.harness.errors import InputError
from experiments.harness.report.reproduce import commands, training_settings
from experiments.harness.run import PRESETS, Run

RUNS: list[tuple[str, str, dict[str, Any]]] = [
    ("top-k", "", {}),
    ("top-k", "--preset full --splits 5", {"splits": [0, 1, 2, 3, 4]}),
    ("top-k", "--split 3 --k 3 --noise 0.5", {"splits": [3], "k": 3, "noise": 0.5}),
    ("top-k", "--method top-k-kl top-k-l2 --epsilon 0.25", {"methods": ["top-k-kl", "top-k-l2"], "epsilon": 0.25}),
    ("top-k", "--learning-rate 1e-05 --weight-decay=-0.5", {"learning_rate": 1e-5, "weight_decay": -0.5}),
    ("shortest-path", "--preset full", {}),
    ("shortest-path", "--solver kernel highs --size 6 --method perturbed", {"solvers": ["kernel", "highs"], "size": 6}),
    ("shortest-path", "--data 'planning:a b' --environment mazes", {"data": "planning:a b", "environment": "mazes"}),
    (
        "shortest-path",
        "--temperature 0.1 1.0 --tune-splits 2 --splits 3",
        {"temperatures": [0.1, 1.0]},
    ),
    ("shortest-path", "--method perturbed --noise gumbel --loss hamming", {"noise": "gumbel"}),
    ("shortest-path", "--method experiments.methods.perturbed:Perturbed --sigma 2.0", {"sigma": 2.0}),
    ("ranking", "--preset full --temperature 0.3 1.0 --method soft-rank perturbed digits", {}),
    ("ranking", "--data labels:x.csv --splits 10", {"data": "labels:x.csv"}),
]


def read_back(line: str) -> Run:
    words = shlex.split(line)
    assert words[:3] == ["python", "-m", "experiments"]
    given = parse(words[3:])
    return configure(given.pop("task"), given, given.pop("preset", None))


@pytest.mark.parametrize(("task", "options", "settings"), RUNS)
def test_a_command_gives_the_configuration(task: str, options: str, settings: dict[str, Any]) -> None:
    run = read_back(f"python -m experiments {task} {options}")
    flat = {key.rpartition(".")[2]: value for key, value in run.as_json().items()}
    assert flat | settings == flat
    (line,) = commands(task, run.as_json())
    assert read_back(line).as_json() == run.as_json()
    assert len(shlex.split(line)) <= 4 + len(shlex.split(options))  # nothing beside what differs


@pytest.mark.parametrize(("task", "options"), [(task, options) for task, options, _ in RUNS])
def test_every_row_has_a_command(task: str, options: str) -> None:
    run = read_back(f"python -m experiments {task} {options}")
    for name, method in run.methods.items():
        heat = 0.7 if run.settings.temperatures and method.temperature_option() else None
        settings = training_settings({"task": task, **run.as_json()}, name, "", heat, [0, 1])
        (line,) = commands(task, settings)
        again = read_back(line)
        assert list(again.methods) == [name]
        assert again.settings.splits == (0, 1)
        assert again.settings.temperatures == ()
        assert again.task == run.task
        if heat is None:
            assert again.methods[name].as_json() == method.as_json()
        else:
            option = str(method.temperature_option())
            assert again.methods[name].as_json() == {**method.as_json(), option: heat}


def test_splits_with_gaps_take_a_command_each() -> None:
    lines = commands("top-k", {"splits": [1, 3], "epochs": 20, "batch": 100})
    assert lines == ["python -m experiments top-k --split 1", "python -m experiments top-k --split 3"]


def test_what_no_command_says_is_refused() -> None:
    differing = {"methods": ["top-k-kl", "top-k-l2"], "top-k-kl.epsilon": 0.1, "top-k-l2.epsilon": 0.9}
    with pytest.raises(InputError, match=r"no command line sets .*top-k-l2\.epsilon to 0\.9"):
        commands("top-k", differing)
    with pytest.raises(InputError, match="unknown setting 'colour'"):
        commands("top-k", {"colour": "red"})


def test_presets_are_those_of_the_parser() -> None:
    for preset in PRESETS:
        assert parse(["top-k", "--preset", preset])["preset"] == preset
