"""What is on the disk: the SQLite catalog, array files, locks, paths, atomic writes.

May import `compute`, `config`, `errors`, `types` and `texts`.
"""
