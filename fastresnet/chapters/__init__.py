"""The chapters of the book: the `Parameters` and `experiments` of each, and the tables and figures of its page alone."""
