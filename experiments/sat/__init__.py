"""SAT trained end to end: visual Sudoku, learned rules, weighted formulas."""
