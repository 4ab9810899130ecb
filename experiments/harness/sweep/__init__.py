"""Which temperature? Sweeps over tasks and methods, what the adviser says, and how the gradients are."""
