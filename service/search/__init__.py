"""From a query to hits: candidates, matches, cut and order; and what rests on nearest neighbours.

May import `kinds`, `match`, `index` and what is below them.
"""
