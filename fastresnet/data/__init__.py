"""Data sets: where their bytes come from, and batches of them on a device."""
