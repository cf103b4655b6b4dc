"""Data sets, their sources, and batches of their images on a device."""
