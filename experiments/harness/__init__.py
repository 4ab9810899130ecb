"""What every experiment shares: options, training with resume, tables, the report and the command line."""
