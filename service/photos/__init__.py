"""Photograph files: decoding to upright sRGB pixels, thumbnails, crops, borders, metadata, and hashes of the image.

May import `store`, `errors` and `types`.
"""
