"""From folders to the catalog: walk, compare, decode, encode, store, as a stream of events; and again when they change.

May import `match`, `index`, `encoder`, `photos` and what is below them.
"""
