"""Tasks and methods by name: a file in its folder is found by the file's name, and anybody's class by its path."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from functools import cache
from typing import Any

import experiments
import experiments.methods
from experiments.harness.errors import InputError
from experiments.harness.method import Method
from experiments.harness.options import check_known
from experiments.harness.task import Task


@cache  # a run asks hundreds of times, and each look into the folders takes a millisecond
def method_names() -> tuple[str, ...]:
    """The methods in `experiments/methods`."""
    return tuple(found.name.replace("_", "-") for found in pkgutil.iter_modules(experiments.methods.__path__))


@cache
def task_names() -> tuple[str, ...]:
    """The packages of `experiments` that have a module `task`."""
    packages = [found.name for found in pkgutil.iter_modules(experiments.__path__) if found.ispkg]
    found = [name for name in packages if importlib.util.find_spec(f"experiments.{name}.task")]
    return tuple(name.replace("_", "-") for name in found if name != "harness")


def find_method(name: str) -> type[Method]:
    """The method of a name, or the class `package.module:Class`.

    Raises:
        InputError: when there is none.
    """
    return _find(name, Method, method_names(), "experiments.methods.{}", "method")


def find_task(name: str) -> type[Task[Any]]:
    """The task of a name, or the class `package.module:Class`.

    Raises:
        InputError: when there is none.
    """
    return _find(name, Task, task_names(), "experiments.{}.task", "task")


def _find(name: str, base: Any, known: tuple[str, ...], module: str, what: str) -> Any:
    path, _, wanted = name.partition(":")
    if not wanted:
        check_known(what, name, (*known, "package.module:Class"))
        path = module.format(name.replace("-", "_"))
    try:
        content = vars(importlib.import_module(path))
    except ModuleNotFoundError as error:
        fix = "start in its folder, or set PYTHONPATH" if wanted else "from the checkout: pip install -e '.[dev]'"
        raise InputError(f"{what} {name!r}: {error}; {fix}") from error
    kinds = {key: kind for key, kind in content.items() if inspect.isclass(kind) and issubclass(kind, base)}
    own = [key for key, kind in kinds.items() if kind.__module__ == path]
    if not wanted and len(own) == 1:
        wanted = own[0]
    if wanted not in kinds:
        there = f", but {', '.join(own)}" if own else ""
        raise InputError(f"{what} {name!r}: {path} has no class {wanted} that derives from {base.__name__}{there}")
    missing = sorted(getattr(kinds[wanted], "__abstractmethods__", ()))
    if missing:
        raise InputError(f"{what} {name!r}: the class {wanted} does not define {', '.join(missing)}")
    return kinds[wanted]
