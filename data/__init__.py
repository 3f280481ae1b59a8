"""Reads and checks captions, ratings and folders of kinds; downloads Flickr8k; has the demo's sample photographs.

Builds the table of places.
"""
