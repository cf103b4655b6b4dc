"""Benchmarks of the recipes against peers, run after run in one process on one machine."""
