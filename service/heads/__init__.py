"""Heads: projections of image features that bring photographs of one kind close together, and their indexes.

May import `kinds`, `match`, `index`, `encoder` and what is below them.
"""
