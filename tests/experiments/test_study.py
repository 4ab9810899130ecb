"""The study's page is made of the files that its commands write."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from experiments import study
from experiments.harness.errors import InputError

BLOCK = "before\n<!-- results: one/summary.md, one/a.png -->\n```sh\n{}\n```\n\n| old |\n<!-- end -->\nafter\n"
COMMAND = "python -m experiments ranking --preset demo \\\n  --splits 3"


def test_a_block_is_run_and_its_table_and_picture_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page, results, called = tmp_path / "study.md", tmp_path / "results", list[list[str]]()
    page.write_text(BLOCK.format(COMMAND) + "<!-- results: one/second.md -->\n<!-- end -->")
    (results / "one").mkdir(parents=True)
    for name in ("summary.md", "second.md", "a.png"):
        (results / "one" / name).write_text(f"{name}\n")
    monkeypatch.setattr(subprocess, "run", lambda words, check: called.append(words[3:]))
    text = study.make(page, results)
    assert called == [["ranking", "--preset", "demo", "--splits", "3", "--out", str(results / "one")]]
    assert text.startswith(BLOCK.format(COMMAND).replace("| old |", "summary.md\n"))
    assert "second.md -->\nsecond.md\n\n<!-- end -->" in text
    assert (tmp_path / "study_one_a.png").read_text() == "a.png\n"
    page.write_text(text)
    (results / "one" / "config.json").write_text("{}")
    assert study.make(page, results) == text, "made again, it stays the same"
    assert called[1] == ["ranking", "--resume", str(results / "one")]


def test_a_block_that_nothing_makes_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "study.md"
    page.write_text("<!-- results: one/summary.md -->\n<!-- end -->")
    with pytest.raises(InputError, match=r"asks for one/summary\.md, and no command before it makes one"):
        study.make(page, tmp_path)
    page.write_text(BLOCK.format("rm -r one"))
    with pytest.raises(InputError, match="'rm -r one' is no command of the experiments"):
        study.make(page, tmp_path)


def test_the_page_is_made_of_blocks() -> None:
    assert len(study.BLOCK.findall(study.PAGE.read_text())) == 6
