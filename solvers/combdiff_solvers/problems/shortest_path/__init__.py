"""Shortest paths on grids and graphs."""
