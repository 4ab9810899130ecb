"""Published packages as methods of the same trainings: `--method experiments.peers.diffsort:DiffSort`."""
