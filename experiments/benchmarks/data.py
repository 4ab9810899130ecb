"""Where the data lies that is no part of the project."""

from __future__ import annotations

import os
from pathlib import Path


def data_folder(name: str) -> Path:
    """The folder `name` in the folder that the environment variable COMBDIFF_DATA names."""
    root = os.environ.get("COMBDIFF_DATA", "")
    if not (Path(root) / name).is_dir() or not root:
        raise SystemExit(f"COMBDIFF_DATA={root!r} should be a folder that holds {name!r}: set it to run this benchmark")
    return Path(root) / name
