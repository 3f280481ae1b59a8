"""What can be chosen as a model: the list, the names, the download, and the languages it reads.

The built-in model lies in the folder `mini/`. Importing this package imports neither torch nor
huggingface_hub.
"""

from service.models.cache import bytes_on_disk, cached_only, is_on_this_machine
from service.models.download import DownloadProgress, choose_first_model, ensure_downloaded
from service.models.known import KnownModel, known_models, languages_of
from service.models.names import ModelName, mini_folder, parse_name
from service.models.reading import unreadable

__all__ = [
    "DownloadProgress",
    "KnownModel",
    "ModelName",
    "bytes_on_disk",
    "cached_only",
    "choose_first_model",
    "ensure_downloaded",
    "is_on_this_machine",
    "known_models",
    "languages_of",
    "mini_folder",
    "parse_name",
    "unreadable",
]
