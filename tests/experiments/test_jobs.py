"""What a training tells its run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from experiments.harness import jobs
from experiments.harness.run import Run
from experiments.harness.run_folder import RunFolder

CONFIG = {"size": 4, "maps": 24, "validation_maps": 4, "test_maps": 6, "methods": ["two-stage"], "epochs": 2}


def test_few_messages_a_second_and_always_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    now, told = 0.0, list[int]()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    step = jobs.throttled(lambda done, figures: told.append(done), last=999)
    for done in range(1, 1000):
        now += 0.002
        step(done, "")
    assert told[0] == 1
    assert told[-1] == 999
    assert 8 <= len(told) <= 10  # of two seconds


def test_messages_of_a_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)  # a clock that stands
    run, sent = Run("shortest-path", CONFIG), list[tuple[str, Any]]()
    (job,) = run.jobs(0)
    jobs.train(run, job, RunFolder.create(tmp_path / "run", run.as_json()), lambda *message: sent.append(message))
    assert [value[:2] for kind, value in sent if kind == "step"] == [(0, 6), (1, 6), (6, 6)]
    assert [len(value) for kind, value in sent if kind == "history"] == [2, 2, 2]  # the list itself, which grows
    text, row, learned = sent[-1][1]
    assert "two-stage: right" in text
    assert row["method"] == learned.method == "two-stage"
    assert len(learned.solutions) == 6
