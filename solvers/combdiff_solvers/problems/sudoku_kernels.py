"""Sudoku by Lagrangian branch and bound. See `sudoku` for what it means.

Each cell has a price, and each digit takes its own best placement by the gains of its cells less their prices
(`placement_kernels`): what these are worth and all prices together are a bound. Where each cell is taken just once, the
placements are the best grid. All numbers are integers: sums are exact, and a bound that is a grid's value proves it.

After M. L. Fisher (1981), "The Lagrangian relaxation method for solving integer programming problems".
"""

import numpy as np

from combdiff_solvers.compute.kernels import Array, kernel
from combdiff_solvers.problems.placement_kernels import (
    BARRED,
    LOW,
    best_placement,
    best_through_each,
    read_placement,
)
from combdiff_solvers.problems.sudoku_tree_kernels import (
    BEST,
    DEPTH,
    DONE,
    FRESH,
    NODES,
    STRICT,
    TIED,
    Tree,
    choose,
    copy_cells,
    dive_for_grid,
    keep,
    settle,
)

HUGE = 2**62
HIGHEST = 2**51  # of a price
BLIND = 2.0**47  # a step of the prices where no grid is known yet
ROOT_STEPS, STEPS = 100, 10  # of the subgradient method


@kernel(counted=False)
def _load(gain: Array, price: Array, options: Array, weight: Array, digit: int) -> None:
    for r in range(len(price)):
        for c in range(len(price)):
            free = (options[r, c] >> digit) & 1
            weight[r, c] = gain[digit, r, c] - price[r, c] if free else BARRED


@kernel(counted=False)
def _bound(gain: Array, price: Array, options: Array, tree: Tree) -> int:
    """The bound at these prices, and how many placements take each cell; LOW where a digit has no placement."""
    n = len(price)
    total = 0
    for r in range(n):
        for c in range(n):
            total += price[r, c]
            tree.count[r, c] = 0
    for d in range(n):
        _load(gain, price, options, tree.space.weight, d)
        value = best_placement(tree.graph, tree.space)
        if value < BARRED // 2:
            return LOW
        total += value
        read_placement(tree.graph, tree.space)
        for r in range(n):
            c = tree.space.columns[r]
            tree.columns[d, r] = c
            tree.count[r, c] += 1
    return total


@kernel(counted=False)
def _descend(gain: Array, options: Array, price: Array, tree: Tree) -> int:
    """Lower the bound by subgradient steps, and leave its prices in `price`; it ends at the best grid's value."""
    n = len(price)
    here, moved, count, cut = tree.here, tree.moved, tree.count, tree.state[BEST]
    best = HUGE
    scale = 1.0
    stalled = 0
    for r in range(n):
        for c in range(n):
            here[r, c] = price[r, c]
            moved[r, c] = 0.0
    for _ in range(STEPS if tree.state[DEPTH] else ROOT_STEPS if tree.state[NODES] else 1):
        bound = _bound(gain, here, options, tree)
        norm = 0
        for r in range(n):
            for c in range(n):
                norm += (count[r, c] - 1) ** 2
        if bound < best:
            best = bound
            copy_cells(here, price)
            stalled = 0
        else:
            stalled += 1
            if stalled > 3:
                scale *= 0.7
                stalled = 0
        if norm == 0 or bound < cut or (bound == cut and not tree.state[STRICT]):
            break
        step = scale * (bound - cut) / norm if cut > LOW else scale * BLIND
        for r in range(n):
            for c in range(n):
                moved[r, c] = 0.6 * moved[r, c] + step * (count[r, c] - 1)
                here[r, c] = min(max(here[r, c] + np.int64(moved[r, c]), -HIGHEST), HIGHEST)
    return best


@kernel(counted=False)
def _is_grid(count: Array) -> bool:
    for r in range(len(count)):
        for c in range(len(count)):
            if count[r, c] != 1:
                return False
    return True


@kernel(counted=False)
def _fix(gain: Array, options: Array, price: Array, bound: int, cut: int, tree: Tree) -> int:
    """Drop the options with which the bound comes down to `cut` or less; how many are dropped."""
    n = len(price)
    dropped = 0
    for d in range(n):
        _load(gain, price, options, tree.space.weight, d)
        best = best_placement(tree.graph, tree.space)
        best_through_each(tree.graph, tree.space)
        for r in range(n):
            for c in range(n):
                if (options[r, c] >> d) & 1:
                    loss = tree.space.through[r, c] - best
                    tree.loss[d, r, c] = loss
                    if loss < BARRED // 2 or bound + loss <= cut:
                        options[r, c] ^= 1 << d
                        dropped += 1
    return dropped


@kernel(counted=False)
def _open_cells(options: Array) -> int:
    count = 0
    for r in range(len(options)):
        for c in range(len(options)):
            count += options[r, c] & (options[r, c] - 1) != 0
    return count


@kernel(counted=False)
def _take(gain: Array, bound: int, tree: Tree, grid: Array) -> None:
    """Take the grid of the placements, whose value is the bound; if ties count, look whether it is the only such."""
    n = len(grid)
    options = tree.dive[0]
    if tree.state[STRICT]:
        depth = tree.state[DEPTH]
        copy_cells(tree.options[depth], options)
        _fix(gain, options, tree.price[depth], bound, bound - 1, tree)
        if _open_cells(options):
            tree.state[TIED] = 1
    for d in range(n):
        for r in range(n):
            options[r, tree.columns[d, r]] = 1 << d
    keep(gain, options, tree, grid)


@kernel(counted=False)
def _process(gain: Array, tree: Tree, grid: Array) -> bool:
    """Bound a node and thin out its options; whether it is done with: no grid that is left in it counts."""
    state, box = tree.state, tree.graph.box
    depth = state[DEPTH]
    options, price = tree.options[depth], tree.price[depth]
    dropped = opened = 1
    while dropped >= opened:
        if not settle(options, box):
            return True
        bound = _descend(gain, options, price, tree)
        tree.bound[depth] = min(tree.bound[depth], bound)
        if bound <= state[BEST] - state[STRICT]:
            return True
        if _is_grid(tree.count):
            _take(gain, bound, tree, grid)
            return True
        opened = _open_cells(options)
        dropped = _fix(gain, options, price, bound, state[BEST] - state[STRICT], tree)
        if not settle(options, box):
            return True
        if depth == 0 or state[BEST] == LOW:
            dive_for_grid(gain, tree.loss, options, tree, grid)
        if not choose(tree.loss, options, tree.branch[depth]):
            keep(gain, options, tree, grid)
            return True
    return False


@kernel(counted=False)
def _start(gain: Array, clue: Array, hint: Array, tree: Tree, grid: Array) -> None:
    """Begin at the root: a first bound, and a first grid where one is easily found."""
    n = len(clue)
    options, price, state = tree.options[0], tree.price[0], tree.state
    hinted = hint[0, 0] > 0 and not state[TIED]
    state[NODES] = state[DEPTH] = state[STRICT] = state[TIED] = 0
    state[BEST] = LOW
    tree.bound[0] = HUGE
    for r in range(n):
        for c in range(n):
            options[r, c] = 1 << (clue[r, c] - 1) if clue[r, c] else (1 << n) - 1
            best = second = LOW
            for d in range(n):
                second = max(second, min(gain[d, r, c], best))
                best = max(best, gain[d, r, c])
            price[r, c] = (best + second) // 2
    if hinted:
        state[STRICT] = 1
        state[BEST] = 0
        for r in range(n):
            for c in range(n):
                grid[r, c] = hint[r, c] - 1
                state[BEST] += gain[grid[r, c], r, c]
    if settle(options, tree.graph.box):
        bound = _descend(gain, options, price, tree)
        tree.bound[0] = bound
        if bound > LOW and not _is_grid(tree.count):
            dive_for_grid(gain, gain, options, tree, grid)
            return
        if bound > LOW:
            _take(gain, bound, tree, grid)
    state[DEPTH] = DONE


@kernel(counted=False)
def sudokus(
    first: int,
    last: int,
    nodes: int,
    gains: Array,  # (b, digit, n, n): 0 to −2^50, to be maximised
    clues: Array,  # (b, n, n): 1..n, or 0
    hints: Array,  # (b or 1, n, n): grids of 1..n that hold the clues, or 0
    tree: Tree,
    grids: Array,  # (b, n, n): 0..n−1
    values: Array,  # (b,): of the grids; LOW where there is none
    bounds: Array,  # (b,): of all grids
    status: Array,  # (b,); rows that are not 1 are left alone
) -> int:
    """Solve rows up to the first that takes more nodes; its number, or `last`. Another call goes on with that row.

    A hint is a first grid. Then the best grid counts only if no other one ties with it, and else the row begins anew
    without: so a hint changes no answer.
    """
    state = tree.state
    for row in range(first, last):
        if status[row] != 1:
            continue
        gain, clue, hint, grid = gains[row], clues[row], hints[row if len(hints) > 1 else 0], grids[row]
        if state[DEPTH] == FRESH:
            _start(gain, clue, hint, tree, grid)
        end = state[NODES] + nodes
        while True:
            if state[STRICT] and state[TIED]:
                _start(gain, clue, hint, tree, grid)
            if state[DEPTH] < 0 or state[NODES] >= end:
                break
            state[NODES] += 1
            depth = state[DEPTH]
            if _process(gain, tree, grid):
                depth -= 1
                if depth >= 0:  # the parent goes on without the option that this node held
                    r, c, d = tree.branch[depth]
                    tree.options[depth, r, c] &= ~(1 << d)
            else:
                r, c, d = tree.branch[depth]
                copy_cells(tree.options[depth], tree.options[depth + 1])
                copy_cells(tree.price[depth], tree.price[depth + 1])
                tree.bound[depth + 1] = tree.bound[depth]
                depth += 1
                tree.options[depth, r, c] = 1 << d
            state[DEPTH] = depth
        values[row] = state[BEST]
        if state[DEPTH] >= 0:
            bounds[row] = max(state[BEST], tree.bound[0])
            return row
        bounds[row] = state[BEST]
        status[row] = 0 if state[BEST] > LOW else 2
        state[DEPTH], state[TIED] = FRESH, 0
    return last
