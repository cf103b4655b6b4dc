"""Faster replacements for operations of torch."""
