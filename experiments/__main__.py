"""The command line: `python -m experiments TASK [options]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from experiments.errors import InputError

TASKS = {"shortest-path": "experiments.shortest_path.command"}
"""Each task is a module with `add_arguments(parser)` and `run(arguments)`; its docstring is the help."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one experiment; return the exit status (0 fine, 2 bad input, 130 interrupted)."""
    parser = argparse.ArgumentParser(prog="python -m experiments", description="Train solver layers end to end.")
    tasks = parser.add_subparsers(dest="task", required=True, metavar="TASK")
    try:
        modules = {name: import_module(module) for name, module in TASKS.items()}
    except ModuleNotFoundError as error:
        print(f"error: {error}; from the checkout: pip install -e '.[dev]' (or make demo)", file=sys.stderr)
        return 2
    for name, module in modules.items():
        about = (module.__doc__ or "").strip()
        module.add_arguments(
            tasks.add_parser(
                name,
                usage=f"{parser.prog} {name} [options]",
                help=about.splitlines()[0],
                description=about,
                formatter_class=argparse.RawDescriptionHelpFormatter,
                argument_default=argparse.SUPPRESS,
            )
        )
    given = vars(parser.parse_args(arguments))
    try:
        modules[given.pop("task")].run(given)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
