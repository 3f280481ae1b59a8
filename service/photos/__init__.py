"""Photograph files: decoding to upright sRGB pixels, thumbnails, crops, borders, and keywords in metadata.

May import `errors` and `types`.
"""
