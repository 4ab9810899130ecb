"""Pictures of the documentation, each drawn by one command."""
