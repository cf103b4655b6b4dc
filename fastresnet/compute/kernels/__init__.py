"""Faster ways to compute what torch computes, swapped in where they pay."""
