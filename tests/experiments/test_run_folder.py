"""Results folders: what they keep, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from experiments.errors import InputError
from experiments.run_folder import RunFolder

CONFIG = {"sigma": 0.3, "methods": ["perturbed"]}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", CONFIG)


def test_config_comes_back(folder: RunFolder) -> None:
    assert RunFolder(folder.path).config() == CONFIG


def test_a_folder_in_use_is_refused(folder: RunFolder) -> None:
    with pytest.raises(InputError, match=r"holds a run already.*--resume"):
        RunFolder.create(folder.path, CONFIG)


def test_folders_are_numbered(tmp_path: Path) -> None:
    RunFolder.create(RunFolder.next_free(tmp_path), CONFIG)
    assert RunFolder.next_free(tmp_path) == tmp_path / "002"


def test_no_results_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no results folder"):
        RunFolder(tmp_path).config()


def test_damaged_config(folder: RunFolder) -> None:
    (folder.path / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config\.json is damaged"):
        folder.config()


def test_half_a_line_of_metrics_is_left_out(folder: RunFolder) -> None:
    for epoch in (1, 2, 3):
        folder.append({"epoch": epoch, "loss": 1 / epoch})
    file = folder.path / "metrics.csv"
    file.write_text(file.read_text()[:-5])
    assert [row["epoch"] for row in folder.rows()] == ["1", "2"]
    folder.keep_rows(lambda row: int(row["epoch"]) < 2)
    folder.append({"epoch": 2, "loss": 0.5})
    assert file.read_text() == "epoch,loss\n1,1.0\n2,0.5\n"


def test_half_a_header_is_left_out(folder: RunFolder) -> None:
    (folder.path / "metrics.csv").write_text("epo")
    folder.keep_rows(lambda row: True)
    folder.append({"epoch": 1})
    assert folder.rows() == [{"epoch": "1"}]


def test_checkpoint_comes_back(folder: RunFolder) -> None:
    assert folder.load_checkpoint("a", CONFIG) is None
    folder.save_checkpoint("a", CONFIG, {"weights": torch.arange(3), "epoch": 2})
    state = folder.load_checkpoint("a", CONFIG)
    assert state is not None
    assert state["epoch"] == 2
    assert torch.equal(state["weights"], torch.arange(3))


def test_a_write_that_is_broken_off_leaves_the_old_file(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.save_checkpoint("a", CONFIG, {"epoch": 1})

    def half_written(content: object, file: Path) -> None:
        file.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", half_written)
    with pytest.raises(KeyboardInterrupt):
        folder.save_checkpoint("a", CONFIG, {"epoch": 2})
    assert folder.load_checkpoint("a", CONFIG) == {"epoch": 1}


def test_checkpoint_of_another_config(folder: RunFolder) -> None:
    folder.save_checkpoint("a", CONFIG, {"epoch": 2})
    with pytest.raises(InputError, match=r"a\.pt belongs to another configuration: sigma is 0.3 there and 0.5 here"):
        folder.load_checkpoint("a", {**CONFIG, "sigma": 0.5})


class Harmful:
    """What a checkpoint must not hold."""


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a checkpoint", None])
def test_damaged_or_harmful_checkpoint(folder: RunFolder, content: bytes | None) -> None:
    file = folder.path / "checkpoints" / "a.pt"
    if content is None:
        torch.save({"config": CONFIG, "state": Harmful()}, file)
    else:
        file.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.pt is not a checkpoint that can be read"):
        folder.load_checkpoint("a", CONFIG)
