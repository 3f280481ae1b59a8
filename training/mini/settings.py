"""The options of the recipe of `mini`, with the values that were chosen (docs/log.md says why)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MiniSettings:
    """Everything that the weights depend on, apart from the data; written beside them.

    `validation` random photographs of the split `train` are held out to choose the other settings by; the shipped
    weights are trained on all of it. `views` crops of each photograph, `side` pixels wide, go through the image tower's
    first `frozen_stages`, which are not trained. Then there are four phases:

    - `warm_epochs` train the heads alone on the features of both frozen towers, in batches of `batch` captions;
    - `epochs` train the heads and the text tower; in both phases an epoch has every caption once;
    - `stage_runs` times `stage_epochs` train the image tower's upper stages with all captions at once. An epoch has
      every photograph once, in batches of `stage_batch`, with `texts_beside` captions of other photographs; `stay` is
      the weight of the penalty on changed features, `average` the decay of the running average of weights;
    - `again_epochs` are like the second phase, on the features of the trained image tower; `again_share` of the change
      of the weights is kept.

    `class_pairs` pseudo-photographs are added to each batch. Rates are peaks of a cosine schedule with a short linear
    rise.
    """

    seed: int = 0
    validation: int = 0
    views: int = 6
    side: int = 224
    frozen_stages: int = 4
    dimension: int = 512
    context_length: int = 64
    batch: int = 768
    class_pairs: int = 192
    warm_epochs: int = 6
    warm_rate: float = 1e-3
    epochs: int = 2
    head_rate: float = 3e-4
    text_rate: float = 8e-5
    stage_runs: int = 2
    stage_epochs: int = 4
    stage_rate: float = 3e-4
    stage_batch: int = 128
    texts_beside: int = 4096
    stay: float = 0.2
    average: float = 0.97
    again_epochs: int = 1
    again_head_rate: float = 1.5e-4
    again_text_rate: float = 5e-5
    again_share: float = 0.6
    weight_decay: float = 0.05
    dropout: float = 0.3
    class_noise: float = 0.5
    temperature: float = 0.05
