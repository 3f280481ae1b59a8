"""Reads and checks captions, ratings and folders of kinds; downloads Flickr8k; has the sample photographs of the demo."""
