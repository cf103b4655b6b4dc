"""Devices, processes, memory, timing and kernels of a run."""
