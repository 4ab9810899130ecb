"""Make the mutants, one by one, in a copy of the repository, where the tests named beside each have to fail."""

from __future__ import annotations

import compileall
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numba  # noqa: F401  (this and the next two are loaded once, for all forks)
import pytest
import torch.fx.experimental.symbolic_shapes  # noqa: F401  (torch loads it with the first gradient)

from tests.mutants import MUTANTS
from tests.mutants.mutant import ROOT, Mutant


def survives(mutant: Mutant, copy: Path) -> bool:
    """Whether the tests stay green under a change."""
    path = copy / mutant.file
    text = path.read_text()
    if text.count(mutant.old) != 1:
        raise SystemExit(f"{mutant.file} holds {mutant.old!r} {text.count(mutant.old)} times, not once: mend the table")
    path.write_text(text.replace(mutant.old, mutant.new))
    try:
        return is_green(mutant.tests, copy)
    finally:
        path.write_text(text)


def is_green(tests: str, copy: Path) -> bool:
    """Whether tests pass in the copy."""
    status = os.waitstatus_to_exitcode(os.waitpid(_start(tests.split(), copy), 0)[1])
    if status not in (0, 1):
        raise SystemExit(f"pytest could not run {tests} (exit status {status})")
    return status == 0


def _start(tests: list[str], copy: Path) -> int:
    """pytest in a fork of this process, which has torch but nothing of the library; the number of the process."""
    number = os.fork()
    if number:
        return number
    status = 3
    try:
        os.chdir(copy)
        sys.path[:0] = [str(copy), str(copy / "solvers")]
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            without = [f"-pno:{name}" for name in ("xdist", "cacheprovider", "unraisableexception", "hypothesispytest")]
            # the checker of shapes, in conftest.py, takes most of the time
            status = pytest.main(["-q", "-x", "--noconftest", *without, *tests])
    finally:
        os._exit(int(status))


def main(words: list[str]) -> int:
    """Run those whose file has one of the words in its name, all without words; 1 if any was not seen."""
    chosen = [one for one in MUTANTS if not words or any(word in one.file for word in words)]
    alive = []
    sys.dont_write_bytecode = True  # a mutant could be taken for the next one, of the same size and second
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "repository"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "results", "__pycache__"))
        compileall.compile_dir(copy, quiet=2)
        picked = [one.tests for one in chosen if " -k " in one.tests]
        whole = dict.fromkeys(word for one in chosen if one.tests not in picked for word in one.tests.split())
        for tests in dict.fromkeys([*picked, *([" ".join(whole)] if whole else [])]):
            if not is_green(tests, copy):
                raise SystemExit(f"without any change a test fails of {tests}")
        for number, mutant in enumerate(chosen, 1):
            lives = survives(mutant, copy)
            alive += [mutant] * lives
            change = f"{mutant.old.strip()!r} → {mutant.new.strip()!r}"
            print(f"{number}/{len(chosen)} {'SURVIVED' if lives else 'seen'}: {mutant.file}: {change}", flush=True)
    print(f"{len(chosen) - len(alive)} of {len(chosen)} mutants were seen")
    return int(bool(alive))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
