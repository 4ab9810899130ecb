"""Mutants of the losses, and of what they stand on: pools, cones, the oracle."""

from tests.mutants.mutant import of

LOSSES, TESTS = "combdiff/losses/", "tests/losses/"

MUTANTS = [
    *of(
        LOSSES + "fenchel_young.py",
        "tests/layers/test_frank_wolfe.py::TestQuadratic "
        "tests/layers/test_frank_wolfe.py::test_the_fenchel_young_loss_is_at_least_zero_and_zero_at_its_target",
        ("known = target - gradient, costs", "known = gradient - target, costs"),
        ("loss.add_(own)", "loss.sub_(own)"),
    ),
    *of(
        LOSSES + "adjacent_vertices.py",
        TESTS + "test_solver_free_losses.py::test_adjacent_vertices_are_the_hinges_of_their_definition",
        ("float(self.margin) - slopes", "float(self.margin) + slopes"),
        ("float(self.margin) - slopes", "1.0 - slopes"),
        ("(short * there).sum(1)", "short.sum(1)"),
    ),
    *of(
        LOSSES + "adjacent_vertices.py",
        TESTS + "test_solver_free_losses.py::test_incomplete_edges_are_declared",
        ("slopes = slopes - (costs", "slopes = slopes + (costs"),
    ),
    *of(
        LOSSES + "cone_aligned.py",
        TESTS + "test_solver_free_losses.py::test_cone_alignment_is_one_minus_the_cosine",
        ("theta, costs), -costs.detach()", "theta, costs), costs.detach()"),
    ),
    *of(
        LOSSES + "cone_aligned.py",
        TESTS + "test_solver_free_losses.py::test_normals_and_edges_are_one_cone",
        ("else point - project(point, rays)", "else project(point, rays)"),
    ),
    *of(
        LOSSES + "cone_aligned.py",
        TESTS + "test_solver_free_losses.py::test_the_gradient_is_that_of_the_value",
        ("(aim / reach - cosine", "(aim / reach + cosine"),
        ("0.0) / size", "0.0)"),
    ),
    *of(
        LOSSES + "contrastive_map.py",
        TESTS + "test_pool_losses.py::test_contrastive_map_is_its_definition",
        (".argmin(1)", ".argmax(1)"),
        ("target - candidates.take(index)", "candidates.take(index) - target"),
    ),
    *of(
        LOSSES + "contrastive_map.py",
        TESTS + "test_pool_losses.py::test_a_term_of_the_model_counts",
        ("own - candidates.take_own(index)", "candidates.take_own(index) - own"),
    ),
    *of(
        LOSSES + "decision.py",
        TESTS + "test_spo_plus.py::test_spo_plus_is_its_definition",
        ("slope = target - y", "slope = y - target"),
    ),
    *of(
        LOSSES + "decision.py",
        TESTS + "test_spo_plus.py::test_a_term_of_the_model_counts_in_the_bound",
        ("gap = gap + own - ((value", "gap = gap - own - ((value"),
        ("gap = gap + own - ((value", "gap = gap + own + ((value"),
    ),
    *of(
        LOSSES + "decision.py",
        TESTS + "test_decision_losses.py::test_reductions",
        ("loss = loss / rows if", "loss = loss if"),
        ("else loss.div_(rows)", "else loss"),
    ),
    *of(
        LOSSES + "decision.py",
        TESTS + "test_decision_losses.py::test_failed_rows_raise_or_are_left_out",
        ("rows -= int(failed.sum())", "rows -= 0"),
    ),
    *of(
        LOSSES + "decision.py",
        TESTS + "test_decision_losses.py::test_the_gradient_is_that_of_the_value",
        ("gradient.div_(rows)", "gradient"),
    ),
    *of(
        LOSSES + "fenchel_young.py",
        TESTS + "test_fenchel_young.py::test_several_solutions_are_the_mean_of_their_losses",
        ("y_true.detach().mean(0)", "y_true.detach().sum(0)"),
    ),
    *of(
        LOSSES + "learning_to_rank.py",
        TESTS + "test_pool_losses.py::test_learning_to_rank_is_its_definition",
        ("candidates.values(c) / -tau", "candidates.values(c) / tau"),
        ("candidates.values(c) / -tau", "-candidates.values(c)"),
        ("(log_q.exp() * gap).sum(1)", "(log_q.exp() * gap).mean(1)"),
        ("others = candidates.counts - 1", "others = candidates.counts"),
        ("+ predicted.gather(1, best) - predicted", "- predicted.gather(1, best) + predicted"),
        ("bare.values(costs - true)", "bare.values(costs + true)"),
    ),
    *of(
        LOSSES + "noise_contrastive.py",
        TESTS + "test_pool_losses.py::test_noise_contrastive_is_its_definition",
        ("costs * (target - candidates.mean)", "costs * (candidates.mean - target)"),
        ("costs = costs - self.true_costs(", "costs = costs + self.true_costs("),
    ),
    *of(
        LOSSES + "noise_contrastive.py",
        TESTS + "test_pool_losses.py::test_a_term_of_the_model_counts",
        ("own - candidates.mean_own", "own + candidates.mean_own"),
    ),
    *of(
        LOSSES + "perturbation_gradient.py",
        TESTS + "test_spo_plus.py::test_perturbation_gradient_is_a_difference_of_optimal_values",
        ("span = 2.0 * h if", "span = h if"),
        ("(value[0] - value[1]) / span", "(value[0] - value[1])"),
        ("(value[0] - value[1]) / span", "(value[1] - value[0]) / span"),
        ("loss = loss - (true * target).sum(-1)", "loss = loss + (true * target).sum(-1)"),
        ("torch.add(point, true, alpha=h)", "torch.sub(point, true, alpha=h)"),
        ("torch.sub(point, true, alpha=h)", "torch.add(point, true, alpha=h)"),
    ),
    *of(
        LOSSES + "perturbation_gradient.py",
        TESTS + "test_decision_losses.py::test_the_gradient_is_that_of_the_value",
        ("((y[0] - y[1]) / span, costs)", "(y[0] - y[1], costs)"),
        ("((y[0] - y[1]) / span, costs)", "((y[1] - y[0]) / span, costs)"),
    ),
    *of(
        LOSSES + "pushforward.py",
        TESTS + "test_spo_plus.py::test_pushforward_is_the_cost_of_the_layer",
        ("sign = 1.0 if self.layer.solver.sense is Sense.MIN else -1.0", "sign = 1.0"),
    ),
    *of(
        LOSSES + "regret.py",
        TESTS + "test_spo_plus.py::test_regret_is_the_metric",
        ("return total / optimum[solved].abs().sum()", "return total / optimum[solved].abs().mean()"),
        ("regret = metrics.regret(y, best", "regret = metrics.regret(best, y"),
    ),
    *of(
        LOSSES + "spo_plus.py",
        TESTS + "test_spo_plus.py::test_spo_plus_is_its_definition",
        ("costs.detach(), 2.0)", "costs.detach(), 1.0)"),
        ("torch.lerp(true, costs.detach()", "torch.lerp(-true, costs.detach()"),
    ),
    *of(
        LOSSES + "spo_plus.py",
        TESTS + "test_decision_losses.py::test_the_gradient_is_that_of_the_value",
        ("slope.mul_(2.0)", "slope"),
        ("slope.mul_(2.0)", "slope.mul_(-2.0)"),
    ),
    *of(
        LOSSES + "structured_hinge.py",
        TESTS + "test_spo_plus.py -k structured_hinge",
        ("costs.detach() - margin", "costs.detach() + margin"),
        ("alpha=2.0 * margin", "alpha=margin"),
        ("alpha=2.0 * margin", "alpha=-2.0 * margin"),
    ),
    *of(
        LOSSES + "structured_hinge.py",
        TESTS + "test_decision_losses.py::test_the_gradient_is_that_of_the_value",
        ("(slope, costs)", "(-slope, costs)"),
    ),
    *of(
        "combdiff/autograd.py",
        TESTS + "test_spo_plus.py::test_spo_plus_is_its_definition",
        ("    found.detach().copy_(value)\n", ""),
    ),
    *of(
        "combdiff/oracle.py",
        TESTS + "test_spo_plus.py::test_a_term_of_the_model_counts_in_the_bound",
        ("self.solver.sense.sign * own", "own"),
    ),
    *of(
        "combdiff/polyhedra/binding.py",
        "tests/polyhedra/test_cones.py::test_binding_normals_make_the_normal_cone",
        ("((lower, -1.0), (upper, 1.0))", "((lower, 1.0), (upper, -1.0))"),
    ),
    *of(
        "combdiff/polyhedra/cone_kernels.py",
        "tests/polyhedra/test_cones.py::test_projection_is_non_negative_least_squares",
        ("if total > gain * size[i]:", "if total > 0.3 * scale * size[i]:"),
    ),
    *of(
        "combdiff/polyhedra/cone_kernels.py",
        "tests/polyhedra/test_cones.py::test_swaps_are_the_neighbours_of_subsets",
        ("np.sqrt(left) > limit * np.sqrt(size)", "np.sqrt(left) < limit * np.sqrt(size)"),
    ),
    *of(
        "combdiff/polyhedra/neighbours.py",
        "tests/polyhedra/test_cones.py::test_swaps_are_the_neighbours_of_subsets",
        ("eye[come] - eye[gone]", "eye[gone] - eye[come]"),
    ),
    *of(
        "combdiff/solution_pool.py",
        TESTS + "test_pool_losses.py::test_noise_contrastive_is_its_definition",
        ("self.y.sum(-2) / self.counts", "self.y.sum(-2)"),
    ),
    *of(
        "combdiff/solution_pool.py",
        TESTS + "test_pool_losses.py::test_a_term_of_the_model_counts",
        ("found = found + self.own", "found = found - self.own"),
    ),
    *of(
        "combdiff/solution_pool.py",
        TESTS + "test_pool_losses.py::test_rows_see_the_solutions_of_their_instance_alone",
        ("keys = [instance_key(instances[row])", "keys = [instance_key(instances[0])"),
    ),
    *of(
        "combdiff/metrics.py",
        "tests/test_certified_regret.py",
        ("own - best - error - _rounding(best, incumbents, sign * prices)", "own - best"),
        ("own - best - error - _rounding", "own - best + error + _rounding"),
        ("high = own - sign * bound + error", "high = own - sign * bound"),
        ("high = own - sign * bound", "high = own - bound"),
        ("high = own - sign * bound", "high = best - sign * bound"),
        ("torch.fmax(own - best", "torch.maximum(own - best"),
    ),
    *of(
        "combdiff/losses/regret.py",
        "tests/test_certified_regret.py::test_interval_of_a_loss_whose_solves_are_cut_short",
        ("sign * answer.bound[1]", "sign * answer.bound[0]"),
        ("(self.solver.sense.sign * answer.bound[1])", "answer.bound[1]"),
        ("self.true_costs(c_true, theta.double())", "self.true_costs(c_true, theta).double()"),
    ),
    *of(
        "combdiff/oracle.py",
        "tests/layers/test_interpolation.py -k cut_short",
        ("stats.gap * stats.bounded if stats.bounded", "stats.gap if stats.bounded"),
        ("stats.gap = total / stats.bounded", "stats.gap = total"),
    ),
    *of(
        "combdiff/polyhedra/pivots.py",
        "tests/polyhedra/test_pivots.py",
        ("return -system[np.ix_", "return system[np.ix_"),
        ("line = -tableau[row] / by", "line = tableau[row] / by"),
        ("(room[ends] / speed[ends]).min()", "(room[ends] / speed[ends]).max()"),
        ("(slacks >= -ZERO).all(axis=0)", "(slacks >= -ZERO).any(axis=0)"),
        ("0.0, not queue", "0.0, True"),
        ("if exchanged not in seen", "if not seen"),
    ),
]  # fmt: skip
