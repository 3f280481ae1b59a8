"""A file to upright sRGB pixels, facts, metadata and a thumbnail. Every format and every bad file ends here.

May import `errors` and `types`.
"""
