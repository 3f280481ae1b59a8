"""Builds the table of places that `service.photos.places` reads, from GeoNames, CLDR and Natural Earth.

May import `service`.
"""
