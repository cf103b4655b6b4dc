"""Where a run computes and what that costs: devices, processes, memory, clocks, kernels."""
