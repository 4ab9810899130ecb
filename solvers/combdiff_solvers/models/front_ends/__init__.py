"""Models written in other libraries: each file reads one kind as a `LinearModel`, or runs its library's own engine."""
