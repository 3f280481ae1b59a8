"""Texts and pixels to unit vectors of one space: any CLIP of open_clip, its tokenizer and preprocessing.

`models` is what can be chosen and downloaded, `runtimes` what computes the towers. May import `store` and what is
below it; torch only where it is used.
"""
