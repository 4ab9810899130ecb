"""Results folders: what they keep, and what they refuse."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from experiments.harness.errors import InputError
from experiments.harness.run_folder import RunFolder

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
    (tmp_path / "001").mkdir()
    assert RunFolder.create_numbered(tmp_path, CONFIG).path == tmp_path / "002"


def test_runs_that_begin_at_once_have_folders_of_their_own(tmp_path: Path) -> None:
    count, barrier = 8, threading.Barrier(8)

    def begin(_: int) -> Path:
        barrier.wait()
        return RunFolder.create_numbered(tmp_path, CONFIG).path

    for _ in range(10):
        with ThreadPoolExecutor(count) as threads:
            found = set(threads.map(begin, range(count)))
        assert len(found) == count
        assert all(RunFolder(path).config() == CONFIG for path in found)


def test_no_results_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no results folder"):
        RunFolder(tmp_path).config()


@pytest.mark.parametrize("content", [b"{", b"[]", b"3", b"\xff\xfe", 2000 * b"[" + 2000 * b"]"])
def test_damaged_config(folder: RunFolder, content: bytes) -> None:
    (folder.path / "config.json").write_bytes(content)
    with pytest.raises(InputError, match=r"config\.json is damaged"):
        folder.config()


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


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a checkpoint", None, {}, [], {"config": 1, "state": {}}])
def test_damaged_or_harmful_checkpoint(folder: RunFolder, content: object) -> None:
    file = folder.path / "checkpoints" / "a.pt"
    if content is None:
        torch.save({"config": CONFIG, "state": Harmful()}, file)
    elif isinstance(content, bytes):
        file.write_bytes(content)
    else:
        torch.save(content, file)
    with pytest.raises(InputError, match=r"a\.pt is not a checkpoint that can be read"):
        folder.load_checkpoint("a", CONFIG)
