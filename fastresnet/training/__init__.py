"""Training: one run turns a configuration and a seed into a record and a trained network."""
