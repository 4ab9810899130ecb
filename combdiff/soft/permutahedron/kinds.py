"""The four projections and three top-k masks, and what the kernels write beside the result.

`block` names, for every *entry* of x, the position of the walk at which its block starts: this and x are all that
derivatives of any order need. HARD marks entries that are not soft (masked or infinite), HAS_NAN the rows that hold a
NaN.
"""

RANK_L2, SORT_L2, RANK_KL, SORT_KL = 0, 1, 2, 3
TOP_L2, TOP_KL, TOP_LAPLACE = 4, 5, 6
HARD, HAS_NAN = -1, -2
