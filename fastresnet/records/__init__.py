"""Records of runs, stores of records, and files that are written atomically. Only `torch_files` imports torch."""
