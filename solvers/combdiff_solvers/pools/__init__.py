"""Solvers that wrap a solver: workers, caches, one model for each row."""
