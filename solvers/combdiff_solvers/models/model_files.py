"""Models in files: MPS and LP, plain or gzipped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray
from ortools.math_opt.io.python import mps_converter
from pybind11_abseil.status import StatusNotOk

from combdiff_solvers.files import MAX_BYTES, MAX_TOKENS, FilePath, read_lines
from combdiff_solvers.models.linear_model import LinearModel
from combdiff_solvers.models.linear_solver import linear_solver
from combdiff_solvers.models.lp_format import read_lp
from combdiff_solvers.models.model_proto import from_proto
from combdiff_solvers.models.variables import resolve_variables
from combdiff_solvers.protocol import Solver
from combdiff_solvers.wrap import options_of


def read_mps(text: str) -> LinearModel:
    """Read a model in the MPS format, fixed or free, by OR-Tools' reader.

    Raises:
        ValueError: for what is no such model, with the line.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("*")]
    if not lines or lines[-1].split()[0].upper() != "ENDATA":
        raise ValueError("the MPS file does not end with ENDATA: it is truncated")
    try:
        return from_proto(mps_converter.mps_to_model_proto(text))
    except (RuntimeError, StatusNotOk) as error:
        raise ValueError(str(error)) from error


_READERS = {".mps": read_mps, ".lp": read_lp}


def read_model(path: FilePath, max_bytes: int = MAX_BYTES, max_tokens: int = MAX_TOKENS) -> LinearModel:
    """Read an MPS or LP file (.mps, .lp, .mps.gz, .lp.gz); the limits are those of `read_lines`.

    Raises:
        FileNotFoundError: when it is not there.
        ValueError: when it cannot be read as a linear or mixed-integer model.
    """
    path = Path(path)
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    try:
        text = "\n".join(read_lines(path, max_bytes, max_tokens))
        if "\0" in text:
            raise ValueError("it is a binary file, not a model as text")
        return _READERS[suffix](text)
    except ValueError as error:
        raise ValueError(f"cannot read {path}: {error}") from error


@options_of(linear_solver)
def wrap_model_file(
    path: FilePath,
    /,
    variables: Sequence[str] | ndarray | None = None,
    *,
    max_bytes: int = MAX_BYTES,
    max_tokens: int = MAX_TOKENS,
    **options: Any,
) -> Solver:
    """`combdiff.wrap` for an MPS or LP file: see `MathOptModel`, `CpSatModel` (backend="cp_sat") and `Limits`.

    `variables` are names, in any shape; None for all variables in the order of the file. The file is read once.
    """
    model = read_model(path, max_bytes, max_tokens)
    places = {name: place for place, name in enumerate(model.names) if name}

    def index_of(name: Any) -> int:
        if name not in places:
            known = ", ".join(list(places)[:8])
            raise ValueError(f"{path} has no variable {name!r}; it has {known}{', ...' if len(places) > 8 else ''}")
        return places[name]

    if variables is None:
        return linear_solver(model, np.arange(len(model.c)), model.c.shape, **options)
    names = [variables] if isinstance(variables, str) else variables
    return linear_solver(model, *resolve_variables(names, index_of, "variable names"), **options)
