"""Chooses the model of the first library on a machine: the preferred one, or the built-in one without a network."""

from __future__ import annotations

from service.config import MINI, PREFERRED_MODEL
from service.encoder.models.download import DownloadProgress, OnDownload, ensure_downloaded, size_text
from service.encoder.models.hub import UnreachableError
from service.encoder.models.hub_cache import is_on_this_machine
from service.encoder.models.offered import offered_model
from service.errors import HubError
from service.types import Say


def choose_first_model(*, timeout_s: float, on_progress: OnDownload | None = None, say: Say) -> str:
    """The model for the first library on a machine, downloaded and ready.

    Args:
        timeout_s: seconds that the hub may take to answer at all.
        on_progress: as for `ensure_downloaded`.
        say: called with a sentence before a download starts, or when the built-in model is used instead.

    Returns:
        The preferred model's name where it is cached or could be downloaded, else "mini".
    """
    if is_on_this_machine(PREFERRED_MODEL):
        return PREFERRED_MODEL

    def report(progress: DownloadProgress) -> None:
        if progress.stage == "start":
            say(_announcement(progress))
        if on_progress:
            on_progress(progress)

    try:
        ensure_downloaded(PREFERRED_MODEL, timeout_s=timeout_s, on_progress=report)
    except HubError as error:
        reason = error.reason if isinstance(error, UnreachableError) else error.message.rstrip(".")
        say(
            f"{reason}, so the built-in model {MINI} is used, which reads English only; "
            f"to change later: smysl index --model {PREFERRED_MODEL}."
        )
        return MINI
    return PREFERRED_MODEL


def _announcement(progress: DownloadProgress) -> str:
    model = offered_model(progress.model)
    languages = f", {model.languages}" if model else ""
    return (
        f"Downloading {progress.model} ({size_text(progress.total_bytes)}{languages}), once for this machine; "
        f"`--model {MINI}` starts without a download."
    )
