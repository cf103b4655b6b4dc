"""Notebooks to pages: chapters run by papermill, the book built from them."""
