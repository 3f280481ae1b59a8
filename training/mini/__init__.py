"""How the built-in model `mini` is trained: `python -m training.mini --data DIR --out DIR`.

In the order in which they run: `settings` (the options), `pretrained_towers` (where both towers start), `views` (maps
and features of the frozen image tower), `imagenet_classes` and `hypernyms` (pseudo-photographs with texts), `network`
(both towers with their heads), `fit` and `fit_stages` (the training phases), `held_out` (validation), `recipe` (all of
them in order), `export` (an open_clip folder), `everyday` (a second check), `card` (the model card), `graphs`
(OpenVINO).
"""
