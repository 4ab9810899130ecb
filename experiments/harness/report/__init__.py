"""The report: one page of any runs of any tasks, with the verdict, tables, figures, settings and commands."""
