"""Kinds (class labels) of photographs: where labels come from, the k-nearest-neighbour vote and its calibration.

May import `store` and what is below it.
"""
