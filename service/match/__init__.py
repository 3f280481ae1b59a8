"""Calibration of similarities to matches (0 to 1, the same meaning for every query), and the ratings they come from.

May import `encoder`, `photos`, `store` and what is below them.
"""
