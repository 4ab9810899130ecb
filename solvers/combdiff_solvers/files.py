"""`wrap` for file names: the reader is chosen by the suffix, and imported when it is first needed.

Every reader opens its file by `read_lines`, which bounds what a file may unpack to and how many tokens it may have.
"""

from __future__ import annotations

import codecs
import gzip
import importlib
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from combdiff_solvers.protocol import Solver
from combdiff_solvers.wrap import wrap

FilePath = str | os.PathLike[str]
MAX_BYTES = 2**28  # how many bytes a file may unpack to, unless told otherwise
MAX_TOKENS = 2**23
"""how many tokens a file may have, unless told otherwise: what a reader keeps of one takes up to 200 bytes"""
_CHUNK = 2**18

FILE_WRAPPERS = {
    **dict.fromkeys((".mps", ".lp"), ("combdiff_solvers.models.model_files", "wrap_model_file", "ortools")),
    **dict.fromkeys(
        (".cnf", ".cnf+", ".wcnf", ".wcnf+", ".opb"),
        ("combdiff_solvers.formulas.formula_files", "wrap_formula_file", "sat"),
    ),
}
"""from a suffix (without .gz) to the module and function that wrap such a file, and the extra that it needs"""


@wrap.register(str)
@wrap.register(os.PathLike)
def wrap_file(path: FilePath, /, *args: Any, **options: Any) -> Solver:
    """`combdiff.wrap` for a file; what follows the path depends on its kind.

    Args:
        path: the file, plain or gzipped.
        args, options: as for the model that the file holds. `max_bytes` (256 MiB) and `max_tokens` (2²³) bound what the
            file may unpack to, and its words, line ends and operators together: raise them for a large file that you
            trust.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: for an unknown suffix, a file that cannot be read as what its suffix says, or one beyond the limits.
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
        wrapper: Callable[..., Solver] = getattr(importlib.import_module(module), function)
    except ImportError as error:
        raise ImportError(f"reading {suffix} files needs more: pip install 'combdiff[{extra}]' ({error})") from error
    return wrapper(path, *args, **options)


def read_lines(path: FilePath, max_bytes: int = MAX_BYTES, max_tokens: int = MAX_TOKENS) -> Iterator[str]:
    """The lines of a text file, without their ends, unpacked on the way if its name ends in .gz.

    Raises:
        OSError: when the file cannot be opened.
        ValueError: for a damaged gzip file, or one with more bytes (unpacked) or tokens than allowed. Words, line ends
            and operators (+ - < > = : ;) count as tokens.
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    size, tokens, rest = 0, 0, [""]
    for chunk in _chunks(path):
        size += len(chunk)
        tokens += len(chunk.split()) + sum(map(chunk.count, (b"\n", b"+", b"-", b"<", b">", b"=", b":", b";")))
        for found, most, what in ((size, max_bytes, "bytes"), (tokens, max_tokens, "tokens")):
            if found > most:
                raise ValueError(f"it holds more than {most} {what}: raise max_{what} if you trust the file")
        first, *more = decoder.decode(chunk).split("\n")
        rest.append(first)
        if more:
            yield "".join(rest)
            yield from more[:-1]
            rest = more[-1:]
    yield "".join([*rest, decoder.decode(b"", final=True)])


def _chunks(path: FilePath) -> Iterator[bytes]:
    packed = os.fspath(path).lower().endswith(".gz")
    try:
        with gzip.open(path) if packed else open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"it is not a whole gzip file ({error}): damaged or truncated") from error
