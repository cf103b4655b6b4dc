"""For each chapter of the book what it asks, `Parameters` and `experiments`, and what only its page shows."""
