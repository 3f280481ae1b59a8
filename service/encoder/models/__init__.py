"""What can be chosen as a model: the list, the names, the download, and the languages it reads.

The built-in model lies in the folder `mini/`. Importing this package imports neither torch nor
huggingface_hub.
"""

from service.encoder.models.download import DownloadProgress, choose_first_model, ensure_downloaded
from service.encoder.models.hub_cache import bytes_on_disk, cached_only, is_on_this_machine
from service.encoder.models.language_check import language_notice
from service.encoder.models.names import ModelName, mini_folder, parse_name
from service.encoder.models.offered import OfferedModel, languages_of, offered_models

__all__ = [
    "DownloadProgress",
    "ModelName",
    "OfferedModel",
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
