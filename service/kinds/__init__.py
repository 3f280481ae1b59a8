"""Kinds (class labels) of photographs: where they come from, the k-nearest-neighbour vote and its calibration.

May import `encoder`, `photos`, `store` and what is below them.
"""
