"""Measures quality and speed: every figure in the documents has its command here. Imports `service` and `data` only."""
