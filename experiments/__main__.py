"""The command line: `python -m experiments TASK [options]`."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one experiment; return the exit status (0 fine, 2 bad input, 130 interrupted)."""
    try:
        from experiments.harness import command
    except ModuleNotFoundError as error:
        print(f"error: {error}; from the checkout: pip install -e '.[dev]' (or make demo)", file=sys.stderr)
        return 2
    return command.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
