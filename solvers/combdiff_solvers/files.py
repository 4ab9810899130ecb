"""`wrap` for file names: the reader is chosen by the suffix, and imported when it is first needed."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

from combdiff_solvers.protocol import Solver
from combdiff_solvers.wrap import wrap

__all__ = ["FILE_WRAPPERS", "wrap_file"]

FILE_WRAPPERS = {
    ".mps": ("combdiff_solvers.model_files", "wrap_model_file", "ortools"),
    ".lp": ("combdiff_solvers.model_files", "wrap_model_file", "ortools"),
    ".cnf": ("combdiff_solvers.formula_files", "wrap_formula_file", "sat"),
    ".wcnf": ("combdiff_solvers.formula_files", "wrap_formula_file", "sat"),
    ".opb": ("combdiff_solvers.formula_files", "wrap_formula_file", "sat"),
}
"""from a suffix (without .gz) to the module and function that wrap such a file, and the extra that it needs"""


@wrap.register(str)
@wrap.register(os.PathLike)
def wrap_file(path: str | os.PathLike[str], /, *args: Any, **options: Any) -> Solver:
    """`combdiff.wrap` for a file; what follows the path depends on its kind.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: for an unknown suffix, or a file that cannot be read as what its suffix says.
        ImportError: when the library that reads it is not installed; the error names the extra.
    """
    name = Path(path).name.lower().removesuffix(".gz")
    suffix = Path(name).suffix
    if suffix not in FILE_WRAPPERS:
        known = ", ".join(FILE_WRAPPERS)
        raise ValueError(f"{os.fspath(path)!r} has none of the suffixes {known} (each also with .gz)")
    if not Path(path).exists():
        raise FileNotFoundError(f"there is no file {os.fspath(path)!r}")
    module, function, extra = FILE_WRAPPERS[suffix]
    try:
        wrapper = getattr(importlib.import_module(module), function)
    except ImportError as error:
        raise ImportError(f"reading {suffix} files needs more: pip install 'combdiff[{extra}]' ({error})") from error
    solver: Solver = wrapper(path, *args, **options)
    return solver
