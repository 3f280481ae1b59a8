"""From similarity to match: a calibrated number from 0 to 1 that means the same for every query.

May import `encoder`, `photos`, `store` and what is below them.
"""
