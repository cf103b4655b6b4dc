"""The declared experiments, one module a chapter: `Parameters`, whose names are the chapter's own, and `experiments`."""

STUDIES = ("myrtle_notes", "fashionmnist_speed", "cifar10_accuracy", "frontier", "findings")
"""In the order of the book."""
