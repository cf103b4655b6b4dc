"""The fault matrix: what may happen to a run, tried many times each. `make faults` tries it all, `make test` a sample."""
