"""Formulas of clauses and linear constraints over Booleans: CNF, WCNF, OPB; RC2 and CP-SAT."""
