"""Which models can be chosen: the offered ones, names, download, cache, and the languages that they read.

The built-in model is in the folder `mini/`. May import what is below `service.encoder`, and `torchvision_compat`; torch
and huggingface_hub only inside functions.
"""

from service.encoder.models.download import DownloadProgress, OnDownload, ensure_downloaded
from service.encoder.models.first_model import choose_first_model
from service.encoder.models.hub_cache import bytes_on_disk, cached_only, is_on_this_machine
from service.encoder.models.language_check import language_notice
from service.encoder.models.names import ModelName, mini_folder, parse_name
from service.encoder.models.offered import OfferedModel, languages_of, offered_models

__all__ = [
    "DownloadProgress",
    "ModelName",
    "OfferedModel",
    "OnDownload",
    "bytes_on_disk",
    "cached_only",
    "choose_first_model",
    "ensure_downloaded",
    "is_on_this_machine",
    "language_notice",
    "languages_of",
    "mini_folder",
    "offered_models",
    "parse_name",
]
