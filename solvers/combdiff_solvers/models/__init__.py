"""Linear, integer and constraint models: readers, front ends and engines."""
