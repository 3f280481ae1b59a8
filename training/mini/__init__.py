"""How the built-in model `mini` is made: `python -m training.mini --data DIR --out DIR`.

Reading order is running order: `settings` (what can be chosen), `towers` (the two pretrained towers),
`views` (features of the frozen image tower), `classes` (ImageNet's classes as pseudo-photographs),
`network` (both towers with their heads), `fit` (the training loop), `export` (an open_clip folder),
`everyday` (the second check).
"""
