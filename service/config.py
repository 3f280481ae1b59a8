"""Settings in one typed place: flags before environment (`SMYSL_*`) before library before defaults.

A flag is given to `Settings(...)` by the command line; the environment is read here; what a library
remembers (its model) is asked for by `library.py` only where neither says anything.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

MINI = "mini"
"""The model that is part of the program."""

PREFERRED_MODEL = "ViT-B-32-SigLIP2-256/webli"
"""The model of the first library on a machine, where it is cached or can be downloaded."""


USUAL_BATCH = 16
"""Photographs that are encoded at once where neither a setting nor the encoder says how many."""


def default_library() -> Path:
    """The library folder where none is named: the user's data folder."""
    from platformdirs import user_data_path

    return user_data_path("smysl", appauthor=False) / "library"


def default_cache() -> Path:
    """The folder of converted models where none is named: the user's cache folder."""
    from platformdirs import user_cache_path

    return user_cache_path("smysl", appauthor=False)


class Settings(BaseSettings):
    """What can be chosen. Each field is also an environment variable: `SMYSL_` and its name."""

    model_config = SettingsConfigDict(env_prefix="SMYSL_", extra="ignore", env_ignore_empty=True)

    library: Path = Field(default_factory=default_library, description="folder of the library")
    model: str | None = Field(None, description="model of a new library; an existing one remembers its own")
    device: str | None = Field(None, description="cuda, mps or cpu; chosen by what there is")
    precision: Literal["fp32", "bf16", "fp16", "int8"] | None = Field(
        None, description="fp32, bf16, fp16 or int8; chosen by what is fast and keeps the vectors"
    )
    runtime: Literal["openvino", "torch"] | None = Field(
        None, description="what computes on a processor, openvino or torch; openvino where it can"
    )
    cache: Path = Field(default_factory=default_cache, description="folder of converted models")
    host: str = Field("127.0.0.1", description="address that the service listens on")
    port: int = Field(8000, ge=0, le=65535, description="port that the service listens on")
    workers: int = Field(1, ge=1, le=64, description="processes of the service that answer")
    upload_limit_mb: float = Field(20.0, gt=0, allow_inf_nan=False, description="largest upload, in megabytes")
    form_limit_mb: float = Field(
        500.0, gt=0, allow_inf_nan=False, description="largest form of many photographs to classify, in megabytes"
    )
    watch: bool = Field(False, description="whether the service keeps the library in step with the disk")
    poll: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="seconds between two looks for changes, on all disks; 30, on those that do not report changes",
    )
    batch_size: int | None = Field(None, ge=1, le=1024, description="photographs encoded at once; 16, more on a GPU")
    decode_threads: int | None = Field(None, ge=1, le=256, description="threads that decode; one a core")
    max_megapixels: int | None = Field(
        None, ge=1, le=2000, description="most pixels that are decoded of one photograph, in millions; 179"
    )
    hub_timeout_s: float = Field(
        5.0, gt=0, allow_inf_nan=False, description="how long a model hub may take to answer at all"
    )
