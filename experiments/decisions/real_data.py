"""What sources of real data share: where their files are, and reading them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from experiments.harness.errors import InputError

VARIABLE = "COMBDIFF_DATA"
"""the environment variable that names the folder of the data sets, each in a folder of its own"""


def data_file(path: Path, kind: str, folder: str, name: str) -> Path:
    """A file of a data set: in the folder that `--data KIND:PATH` names, or else among the data sets.

    Raises:
        InputError: where it is not there.
    """
    if not path.name:
        if VARIABLE not in os.environ:
            raise InputError(f"data={kind!r} needs a folder: write {kind}:FOLDER, or set {VARIABLE} to the one above")
        path = Path(os.environ[VARIABLE]) / folder
    file = path / name
    if not file.is_file():
        raise InputError(f"{path} has no file {name}, which data={kind!r} reads")
    return file


def read_table(file: Path, columns: int | None = None) -> Float64[ndarray, "rows columns"]:
    """The numbers of a csv file whose first line is a heading.

    Raises:
        InputError: for a file with other than numbers, or another number of columns.
    """
    try:
        table = np.loadtxt(file, delimiter=",", skiprows=1, ndmin=2)
    except ValueError as error:
        raise InputError(f"{file} is no table of numbers below a heading: {error}") from error
    if columns is not None and table.shape[1] != columns:
        raise InputError(f"{file} has {table.shape[1]} columns, but {columns} are expected")
    return table
