"""Python scripts in processes of their own, which are not to hang the tests."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WAIT = 120  # seconds after which a script is taken to hang
HEAR_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
"""for tests that run in the background of a shell, which has its jobs ignore SIGINT, and their children inherit that"""


def start(script: str) -> "subprocess.Popen[str]":
    """A Python process that can import our packages and these tests."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'solvers'}"}
    return subprocess.Popen(
        [sys.executable, "-c", HEAR_CTRL_C + script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=ROOT,
        start_new_session=True,
    )


def finish(running: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """The exit code of a script, and what it said; a script that hangs is killed, and fails the test."""
    try:
        out, errors = running.communicate(timeout=WAIT)
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)
        out, errors = running.communicate()
        pytest.fail(f"it hung after saying {out!r} {errors!r}")
    return running.returncode, out, errors


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Look until it is so; false if it never was."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return condition()
