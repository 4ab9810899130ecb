"""Mutants: signs and scale factors, each of which turns a test red when it is changed.

    python -m tests.mutants                  # all: make mutants
    python -m tests.mutants identity noise   # those of files with such a name

A mutant is one text of one file, which occurs once, and what takes its place. It is made in a copy of the repository,
and the tests named beside it have to fail there. A new estimator or loss adds its own.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest
import torch  # noqa: F401  (loaded once, for all forks)

ROOT = Path(__file__).parents[1]
LAYERS, TESTS = "combdiff/layers/", "tests/layers/"


class Mutant(NamedTuple):
    """A change that has to be noticed."""

    file: str
    old: str
    new: str
    tests: str  # arguments of pytest


def of(file: str, tests: str, *changes: tuple[str, str]) -> list[Mutant]:
    """Mutants of one file, that the same tests see."""
    return [Mutant(file, old, new, tests) for old, new in changes]


FRONT, FRONT_TESTS = "solvers/combdiff_solvers/models/front_ends/", "tests/solvers/models/test_front_ends.py"
RANDOM = f"{FRONT_TESTS}::test_random_models_have_the_librarys_own_optimum"

MUTANTS = [
    *of(
        FRONT + "cvxpy.py",
        f"{RANDOM}[cvxpy] tests/solvers/models/test_front_end_models.py",
        ("prices = sign * ", "prices = "),
        ("cost = sign * ", "cost = "),
        ("ends = -t[:extra]", "ends = t[:extra]"),
    ),
    *of(
        FRONT + "pyomo.py",
        f"{RANDOM}[pyomo] {FRONT_TESTS}::TestPyomo::test_best_of_the_feasible_set",
        ("value(side) - constant", "value(side)"),
        ("offset=costs[2]", "offset=0.0"),
    ),
    *of(
        FRONT + "gurobi_engine.py",
        f"{FRONT_TESTS}::TestGurobi::test_best_of_the_feasible_set tests/solvers/models/test_gurobi.py",
        ("model.reset(1)", "pass"),
        ("np.ldexp(told - self._model.ObjCon, -exponent)", "np.ldexp(told - self._model.ObjCon, exponent)"),
        ("any(self._gaps) and gain", "gain < 0 and gain"),
    ),
    *of(
        "solvers/combdiff_solvers/models/warm_model.py",
        "tests/solvers/models/test_bounds.py",
        ("sign * (1e-9 * size", "-sign * (1e-9 * size"),
    ),
    *of(
        "solvers/combdiff_solvers/formulas/cpmpy_formula.py",
        "tests/solvers/formulas/test_cpmpy.py::test_every_back_end_has_the_optimum_of_enumeration",
        ("owed = -constant - sum(weights)", "owed = -constant"),
        ("[*signed, (slack, condition)], most + slack", "[*signed, (slack, condition)], most"),
        ("sign * int(bound)", "int(bound)"),
    ),
    *of(
        "solvers/combdiff_solvers/models/mip_backends.py",
        f"{FRONT_TESTS}::test_where_pulp_came_first_the_highs_of_or_tools_is_refused",
        ('order.index("pulp") < loaded', 'order.index("pulp") > loaded'),
    ),
    *of(
        LAYERS + "interpolation.py",
        TESTS + "test_interpolation.py::test_closed_form",
        ("alpha=step", "alpha=-step"),
        ("torch.sub(moved, y)", "torch.sub(y, moved)"),
        (".div_(step)", ""),
    ),
    *of(
        LAYERS + "identity.py",
        TESTS + "test_identity.py::test_the_gradient_is_that_of_minus_the_projected_costs",
        ("result = -gradient", "result = gradient"),
        ("(result * direction).sum(-1, keepdim=True) * direction) / size", "0.0 * direction) / size"),
        ("keepdim=True) * direction) / size", "keepdim=True) * direction)"),
        ("return result - result.mean(-1, keepdim=True) if centred else result", "return result"),
    ),
    *of(
        LAYERS + "straight_through.py",
        TESTS + "test_straight_through.py::test_the_answer_is_exact_and_the_jacobian_that_of_softmax",
        ("(soft - soft.detach())", "(soft.detach() - soft)"),
        ("answer.y + (soft - soft.detach())", "soft"),
    ),
    *of(
        LAYERS + "lagrangian_proximal.py",
        TESTS + "test_lagrangian_proximal.py::test_closed_form_by_enumeration",
        ("(2.0 * step)", "step"),
        ("(0.5 - y)", "(y - 0.5)"),
        ("self.rho * (0.5", "(0.5"),
        ("point - step * gradient]", "point + step * gradient]"),
        ("moved - y if", "y - moved if"),
        ("else y - moved) / step", "else y - moved)"),
        ("step if self.side == \"lower\" else -step", "step"),
    ),
    *of(
        LAYERS + "implicit_mle.py",
        TESTS + "test_implicit_mle.py::test_gumbel_over_one_hot_is_a_difference_of_softmaxes",
        ("(moved - y).mean(0) / step", "(moved - y).mean(0)"),
        ("(moved - y).mean(0) / step", "(moved - y).sum(0) / step"),
        ("(moved - y).mean(0) / step", "(y - moved).mean(0) / step"),
        ("costs + step * gradient", "costs - step * gradient"),
        (".mul_(float(self.sigma))", ""),
    ),
    *of(
        LAYERS + "targets.py",
        TESTS + "test_implicit_mle.py::test_gumbel_over_one_hot_is_a_difference_of_softmaxes",
        ("point = costs if noise is None else costs + noise", "point = costs"),
    ),
    *of(
        LAYERS + "adaptive_implicit_mle.py",
        TESTS + "test_implicit_mle.py -k alpha",
        ("temperature * size / slope", "temperature * slope / size"),
        ("self.mean < self.target", "self.mean > self.target"),
        ("self.decay * self.mean + (1.0 - self.decay)", "(1.0 - self.decay) * self.mean + self.decay"),
        ("max(self.rate, self.alpha", "max(0.0, self.alpha"),
        ("/ (y.numel() / y.shape[-1])", "/ y.numel()"),
    ),
    *of(
        LAYERS + "perturbed.py",
        TESTS + "test_perturbed.py::test_one_over_sigma_and_one_over_m_count_once",
        ("scale = 1.0 / sigma / self.samples", "scale = 1.0 / self.samples"),
        ("scale = 1.0 / sigma / self.samples", "scale = 1.0 / sigma"),
        ("scale = 1.0 / sigma / (self.samples - 1)", "scale = 1.0 / sigma / self.samples"),
        ("scale = 1.0 / sigma / (self.samples - 1)", "scale = 1.0 / (self.samples - 1)"),
    ),
    *of(
        LAYERS + "perturbed.py",
        TESTS + "test_perturbed.py::test_the_mean_of_the_others_takes_every_constant_off",
        ("(self.samples - size)", "self.samples"),
        ("gain.sum(0) - parts.sum(1)", "gain.sum(0)"),
    ),
    *of(
        LAYERS + "draws.py",
        TESTS + "test_draws.py",
        ("energy(self.noise) - energy", "energy(self.noise) + energy"),
        ("(self.points - costs) / sigma", "(self.points - costs) / self.sigma"),
        ("0.5 * len(weights)", "0.05 * len(weights)"),
        ("1.0 / weights.detach()", "1.0 / len(weights) / weights.detach()"),
        ("+ 0.5) / 2.0**BITS", "+ 0.5) / 2.0**29"),
        ("[:, None] ^ shift", "[:, None] | shift"),
    ),
    *of(
        LAYERS + "score_function.py",
        TESTS + "test_score_function.py::test_value_and_gradient_are_those_of_the_expected_loss",
        ("gain[:-1] - gain[-1]", "gain[:-1] * gain[-1]"),
        ("gain[: self.samples].mean(0)", "gain[: self.samples].sum(0)"),
        ("with_gradient(value, self.by_score", "with_gradient(value, -self.by_score"),
    ),
    *of(
        LAYERS + "gumbel_top_k.py",
        TESTS + "test_gumbel_top_k.py::test_the_gradient_is_that_of_successive_softmaxes "
        + TESTS + "test_gumbel_top_k.py::test_the_subsets_are_drawn_without_replacement",
        ("return -slope", "return slope"),
        ("torch.softmax(keys / tau, -1)", "torch.softmax(keys, -1)"),
        ("keys = keys + torch.log1p(-share", "keys = keys - torch.log1p(-share"),
        ("point = costs.detach() + noise", "point = costs.detach() - noise"),
        ("keys = -point", "keys = point"),
    ),
    *of(
        LAYERS + "active_set.py",
        TESTS + "test_frank_wolfe.py::test_over_one_hot_vectors_it_is_sparsemax_and_softmax "
        + TESTS + "test_frank_wolfe.py::test_over_subsets_it_is_the_projection_onto_the_capped_simplex",
        ("torch.cat([-slope", "torch.cat([slope"),
        ("hessian = self.epsilon * self.omega", "hessian = self.omega"),
        ("self.costs[rows] + self.epsilon * self.omega", "self.costs[rows] + self.omega"),
        ("self.costs[rows] + self.epsilon", "self.costs[rows] - self.epsilon"),
        ("weights = weights + step[:, None] * direction", "weights = weights - step[:, None] * direction"),
    ),
    *of(
        LAYERS + "active_set.py",
        TESTS + "test_frank_wolfe.py::test_a_term_of_the_solver_counts",
        ("linear + self.epsilon * self.omega.value(mu)", "linear - self.epsilon * self.omega.value(mu)"),
        (".sum(-1) + self.heights[rows]\n", ".sum(-1)\n"),
        ("(self.heights[rows] * weights).sum(-1)", "0.0"),
    ),
    *of(
        LAYERS + "frank_wolfe.py",
        TESTS + "test_frank_wolfe.py::test_the_fenchel_young_loss_is_at_least_zero_and_zero_at_its_target",
        ("float(self.epsilon) * self.omega.value(y)", "self.omega.value(y)"),
        ("return float(self.epsilon)", "return -float(self.epsilon)"),
    ),
    *of(
        LAYERS + "regularizers.py",
        TESTS + "test_frank_wolfe.py::test_regularizers_have_the_derivatives_that_they_say",
        ("sum(-1) / 2.0", "sum(-1)"),
        (".log() + 1.0", ".log()"),
        ("return 1.0 / mu", "return mu"),
    ),
    *of(
        "combdiff/noise/distributions.py",
        "tests/test_noise.py",
        ("return torch.exp(z - np.euler_gamma) - 1.0", "return torch.exp(z - np.euler_gamma)"),
        ("return torch.exp(z - np.euler_gamma) - z", "return torch.exp(z - np.euler_gamma) + z"),
        (".log_().add_(np.euler_gamma)", ".log_().sub_(np.euler_gamma)"),
        ("return torch.sign(z)\n", "return -torch.sign(z)\n"),
        ("-torch.sign(side)", "torch.sign(side)"),
        ("torch.tanh(z / 2.0)", "torch.tanh(z)"),
        ("2.0 * torch.nn.functional.softplus(-z)", "torch.nn.functional.softplus(-z)"),
        ("one.log_().sub_(other.log_())", "one.log_().add_(other.log_())"),
        ("total.sub_(", "total.add_("),
        ("alpha=1.0 / i", "alpha=1.0"),
        ("return z.square() / 2.0", "return z.square()"),
        ("torch.log1p(-u)", "torch.log(u)"),
    ),
    *of(
        "combdiff/losses/fenchel_young.py",
        TESTS + "test_frank_wolfe.py::TestQuadratic "
        + TESTS + "test_frank_wolfe.py::test_the_fenchel_young_loss_is_at_least_zero_and_zero_at_its_target",
        ("known = target - gradient, costs", "known = gradient - target, costs"),
        ("loss.add_(own)", "loss.sub_(own)"),
    ),
]  # fmt: skip


def survives(mutant: Mutant, copy: Path) -> bool:
    """Whether the tests stay green under a change."""
    path = copy / mutant.file
    text = path.read_text()
    if text.count(mutant.old) != 1:
        raise SystemExit(f"{mutant.file} holds {mutant.old!r} {text.count(mutant.old)} times, not once: mend the table")
    path.write_text(text.replace(mutant.old, mutant.new))
    try:
        return is_green(mutant.tests, copy)
    finally:
        path.write_text(text)


def is_green(tests: str, copy: Path) -> bool:
    """Whether tests pass in the copy."""
    status = os.waitstatus_to_exitcode(os.waitpid(_start(tests.split(), copy), 0)[1])
    if status not in (0, 1):
        raise SystemExit(f"pytest could not run {tests} (exit status {status})")
    return status == 0


def _start(tests: list[str], copy: Path) -> int:
    """pytest in a fork of this process, which has torch but nothing of the library; the number of the process."""
    number = os.fork()
    if number:
        return number
    status = 3
    try:
        os.chdir(copy)
        sys.path[:0] = [str(copy), str(copy / "solvers")]
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            status = pytest.main(["-q", "-x", "-p", "no:xdist", "-p", "no:cacheprovider", *tests])
    finally:
        os._exit(int(status))


def main(words: list[str]) -> int:
    """Run those whose file has one of the words in its name, all without words; 1 if any was not seen."""
    chosen = [one for one in MUTANTS if not words or any(word in one.file for word in words)]
    alive = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "repository"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "results", "__pycache__"))
        for tests in dict.fromkeys(mutant.tests for mutant in chosen):
            if not is_green(tests, copy):
                raise SystemExit(f"{tests} fails without any change")
        for number, mutant in enumerate(chosen, 1):
            lives = survives(mutant, copy)
            alive += [mutant] * lives
            change = f"{mutant.old.strip()!r} → {mutant.new.strip()!r}"
            print(f"{number}/{len(chosen)} {'SURVIVED' if lives else 'seen'}: {mutant.file}: {change}", flush=True)
    print(f"{len(chosen) - len(alive)} of {len(chosen)} mutants were seen")
    return int(bool(alive))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
