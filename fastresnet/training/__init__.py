"""One run, from its configuration and seed to a record and a trained network."""
