"""The chapters of the book: what each asks, as `Parameters` and `experiments`, and what only its page shows."""
