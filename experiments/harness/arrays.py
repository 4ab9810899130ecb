"""Reading NumPy files that others wrote: never unpickling, and saying what is wrong with them."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from experiments.harness.errors import InputError

Array = Shaped[np.ndarray, "..."]


def read_arrays(path: Path) -> dict[str, Array]:
    """All arrays of an npz file, or of an npy file (under the name "").

    Raises:
        InputError: for a file that is not there, is damaged, or holds Python objects (which would need unpickling).
    """
    if not path.exists():
        raise InputError(f"{path} does not exist")
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {"": loaded}
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path} cannot be read as a NumPy file ({error}): is the copy complete?") from error


def expect_shape(name: str, array: Array, shape: tuple[int | None, ...]) -> None:
    """Check the shape of an array that came from a file; None stands for any length.

    Raises:
        InputError: naming the array, its shape and the expectation.

    >>> expect_shape("maps", np.zeros((5, 12, 12)), (None, 12, 12))
    """
    agree = (want in (None, have) for have, want in zip(array.shape, shape, strict=False))
    if len(array.shape) != len(shape) or not all(agree):
        wanted = ", ".join("any" if want is None else str(want) for want in shape)
        raise InputError(f"{name} has shape {array.shape}, but ({wanted}) is expected")
