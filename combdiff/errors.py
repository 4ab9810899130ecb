"""What can go wrong inside a layer."""

from __future__ import annotations


class SolverError(RuntimeError):
    """Some rows of a batch have no solution, and the layer was told to raise; or every row is an ERROR.

    Attributes:
        rows: flat indices (row-major over the batch dimensions) of the failed rows.
        statuses: the name of the status of each, as in `Status`.
        reasons: what is said of each, by its number.

    >>> raise SolverError([3], ["INFEASIBLE"], {3: "no way out"}, batch=8)  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    combdiff.errors.SolverError: 1 of 8 rows failed
    """

    SHOWN = 5

    def __init__(self, rows: list[int], statuses: list[str], reasons: dict[int, str], batch: int) -> None:
        self.rows = rows
        self.statuses = statuses
        self.reasons = reasons
        shown = zip(rows[: self.SHOWN], statuses, strict=False)
        lines = [f"  row {row}: {status}: {reasons[row]}" for row, status in shown]
        if len(rows) > self.SHOWN:
            lines.append(f"  ... and {len(rows) - self.SHOWN} more")
        super().__init__(
            f"{len(rows)} of {batch} rows failed:\n"
            + "\n".join(lines)
            + (
                "\nEvery row is an ERROR: mend what the messages say, on_failure='mask' does not hide it."
                if len(rows) == batch and set(statuses) == {"ERROR"}
                else "\nTo go on without them, give the layer on_failure='mask': they become NaN and get no gradient."
            )
        )

    def within(self, rows: list[int], batch: int) -> SolverError:
        """The same error, of some rows of a batch, with their numbers in it."""
        reasons = {rows[row]: text for row, text in self.reasons.items()}
        return SolverError([rows[row] for row in self.rows], self.statuses, reasons, batch)
