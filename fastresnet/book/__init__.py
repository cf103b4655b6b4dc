"""Turns notebooks into pages: papermill runs the chapters, and the book is built from them."""
