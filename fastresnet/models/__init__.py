"""Networks, their layers, and saved models."""
