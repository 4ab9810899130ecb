"""The semidefinite relaxation of weighted MAXSAT by the mixing method, and its derivative: what `SatNet` runs."""
