"""Readers and checkers of captions and ratings; the sample photographs of the demo."""
