"""Recipes and peers side by side, run after run in one process on one machine."""
