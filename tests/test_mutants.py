"""The table of mutants fits the code of today; `make mutants` makes them."""

from tests.mutants import MUTANTS
from tests.mutants.mutant import ROOT


def test_every_mutant_is_of_a_text_that_occurs_once() -> None:
    counts = {(one.file, one.old): (ROOT / one.file).read_text().count(one.old) for one in MUTANTS}
    assert {key: count for key, count in counts.items() if count != 1} == {}
    files = {word.partition("::")[0] for one in MUTANTS for word in one.tests.split() if ".py" in word}
    assert [name for name in sorted(files) if not (ROOT / name).exists()] == []
