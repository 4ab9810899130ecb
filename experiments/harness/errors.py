"""What a user of an experiment can mend."""

from __future__ import annotations


class InputError(ValueError):
    """An option, a path or a file that cannot be used; the command shows the message without a traceback."""
