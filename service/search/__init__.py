"""From a query to hits: candidates, matches, cut and order; also neighbours, classification and scores of pairs.

May import `kinds`, `match`, `index` and what is below them.
"""
