"""The projection onto the permutahedron: compiled kernels, and the same in plain torch operations."""
