"""Texts and pixels to unit vectors of one embedding space: any open_clip model with its tokenizer and preprocessing.

`models` knows which models can be chosen and downloads them, `runtimes` computes the towers. May import `store` and
what is below it; torch, OpenVINO, transformers and huggingface_hub only inside functions.
"""
