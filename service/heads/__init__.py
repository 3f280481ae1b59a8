"""Heads: projections of image features in which photographs of the same kind are near, and their indexes.

May import `kinds`, `match`, `index`, `encoder` and what is below them.
"""
