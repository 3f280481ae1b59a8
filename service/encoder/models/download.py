"""Taking a model from the hub: asked first, its size said before, every byte checked after.

Three things differ from letting open_clip download by itself. A hub that is not there is noticed within
seconds, not after its library's minutes of trying again. The size is known before the first byte. And a
file whose length or hash is not what the hub announced is removed, so that no later run takes it for good.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from service.config import MINI, PREFERRED_MODEL
from service.encoder.models.hub import UnreachableError, ask_hub, counting_bar, endpoint, hub_errors, quiet_hub
from service.encoder.models.hub_cache import (
    CONFIGURATION,
    TOKENIZER_CONFIGURATION,
    TOKENIZER_FILES,
    RequiredFile,
    cached_file,
    first_parts,
    is_on_this_machine,
    text_parts,
)
from service.encoder.models.names import ModelName, parse_name
from service.encoder.models.offered import offered_model
from service.errors import HubError, ModelError, NotFoundError

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo, RepoSibling

MEGABYTE = 1_000_000

Stage = Literal["start", "download", "check", "done"]


@dataclass(frozen=True)
class DownloadProgress:
    """Where a download stands.

    Attributes:
        stage: "start" once, before the first byte; then "download" and "check" for each file; "done" once.
        model: the model's name.
        file: the file that is being downloaded or checked; "" at the start and when done.
        done_bytes: bytes downloaded so far, of all files.
        total_bytes: bytes to download, of all files; what is cached already is not counted.
    """

    stage: Stage
    model: str
    file: str
    done_bytes: int
    total_bytes: int


OnProgress = Callable[[DownloadProgress], None]


@dataclass(frozen=True)
class _WantedFile:
    repository: str
    name: str
    size: int
    sha256: str | None
    git_hash: str | None


def ensure_downloaded(name: str, *, timeout_s: float = 5.0, on_progress: OnProgress | None = None) -> None:
    """Make sure that a model can be loaded without a network; download it where it is not cached.

    Respects HF_ENDPOINT, HF_HUB_OFFLINE, HF_HOME and HF_TOKEN, as all of huggingface_hub does.

    Args:
        name: a model's name as `--model` takes it.
        timeout_s: seconds that the hub may take to answer the first question.
        on_progress: called with the total before the first byte, then as bytes come.

    Raises:
        UsageError: no such model.
        NotFoundError: the folder of a `local-dir:` model is not there.
        HubError: the hub is not to be reached, has no such model, or sent a broken file.
    """
    parsed = parse_name(name)
    if parsed.folder is not None:
        _check_folder(parsed)
        return
    if is_on_this_machine(parsed.text):
        return
    _check_online(parsed)
    report = on_progress or (lambda progress: None)
    with quiet_hub(), hub_errors(parsed.text):
        wanted = [file for file in _plan(parsed, timeout_s) if not _is_cached(file)]
        _fetch_all(parsed, wanted, timeout_s, report)


def choose_first_model(*, timeout_s: float, on_progress: OnProgress | None = None, say: Callable[[str], None]) -> str:
    """The model for the first library on a machine, downloaded and ready.

    Args:
        timeout_s: seconds that the hub may take to answer at all.
        on_progress: as for `ensure_downloaded`.
        say: told one sentence before a download starts, or when the built-in model has to do.

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
    known = offered_model(progress.model)
    languages = f", {known.languages}" if known else ""
    return (
        f"Downloading {progress.model} ({_size(progress.total_bytes)}{languages}), once for this machine; "
        f"`--model {MINI}` starts without a download."
    )


def _size(number: int) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{max(number / MEGABYTE, 0.1):.1f} MB"


def _check_folder(parsed: ModelName) -> None:
    if parsed.folder is None or (parsed.folder / CONFIGURATION).is_file():
        return
    if parsed.kind == "mini":
        raise ModelError(f"The built-in model is missing from {parsed.folder}; install smysl again.")
    what = f"has no {CONFIGURATION}" if parsed.folder.is_dir() else "does not exist"
    raise NotFoundError(f"The model's folder {parsed.folder} {what}; name a folder that open_clip can load.")


def _check_online(parsed: ModelName) -> None:
    from huggingface_hub import constants

    if constants.is_offline_mode():
        raise UnreachableError(
            parsed.text, "HF_HUB_OFFLINE is set", f"unset it, or use the built-in model with --model {MINI}"
        )


def _plan(parsed: ModelName, timeout_s: float) -> list[_WantedFile]:
    """Every file that the model needs. The one that makes a part count as cached comes last of its part."""
    known: dict[str, ModelInfo] = {}
    wanted: dict[tuple[str, str], _WantedFile] = {}

    def add(part: RequiredFile) -> None:
        if part.repository not in known:
            known[part.repository] = ask_hub(parsed.text, part.repository, timeout_s)
        for file in _files_of(parsed, part, known[part.repository]):
            wanted[part.repository, file.name] = file

    for part in first_parts(parsed):
        add(part)
        if part.role == "configuration":
            # It names the tokenizer's repository, so the total is not known before it is here.
            for file in wanted.values():
                _fetch(parsed, file, timeout_s, lambda number: None)
    for part in text_parts(parsed):
        add(part)
        if part.role == "tokenizer" and (part.repository, TOKENIZER_CONFIGURATION) not in wanted:
            _remember_absence(part.repository, TOKENIZER_CONFIGURATION, timeout_s)
    return list(wanted.values())


def _remember_absence(repository: str, file: str, timeout_s: float) -> None:
    """Have huggingface_hub note in its cache that a repository has no such file.

    Without the note, transformers takes a file that is not cached for one that it has to ask the hub for.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    with suppress(EntryNotFoundError):
        hf_hub_download(repository, file, etag_timeout=timeout_s)


def _files_of(parsed: ModelName, part: RequiredFile, info: ModelInfo) -> list[_WantedFile]:
    offered = {sibling.rfilename: sibling for sibling in info.siblings or []}
    chosen = next((choice for choice in part.choices if choice in offered), None)
    if chosen is None:
        raise HubError(
            f"{part.repository} on {endpoint()} has no {part.role} that open_clip could load "
            f"(none of {', '.join(part.choices)}); choose another model with `smysl models`."
        )
    names = [name for name in TOKENIZER_FILES if name in offered] if part.role == "tokenizer" else []
    return [_wanted(part.repository, offered[name]) for name in [*names, chosen]]


def _wanted(repository: str, sibling: RepoSibling) -> _WantedFile:
    lfs = sibling.lfs
    return _WantedFile(
        repository=repository,
        name=sibling.rfilename,
        size=sibling.size or 0,
        sha256=lfs.sha256 if lfs else None,
        git_hash=None if lfs else sibling.blob_id,
    )


def _is_cached(file: _WantedFile) -> bool:
    """Whether a file is cached and right; one that is cached and wrong is removed."""
    path = cached_file(file.repository, file.name)
    if path is None:
        return False
    if _is_right(file, path):
        return True
    _remove(path)
    return False


def _fetch_all(parsed: ModelName, wanted: list[_WantedFile], timeout_s: float, report: OnProgress) -> None:
    total = sum(file.size for file in wanted)
    _check_space(parsed, total)
    done = 0

    def tell(stage: Stage, file: str = "") -> None:
        report(DownloadProgress(stage, parsed.text, file, min(done, total), total))

    def count(file: str, number: int) -> None:
        nonlocal done
        done += number
        tell("download", file)

    tell("start")
    for file in wanted:
        before = done
        _fetch(parsed, file, timeout_s, partial(count, file.name), partial(tell, "check", file.name))
        # Not what was counted: another process may have downloaded the file meanwhile.
        done = before + file.size
    tell("done")


def _fetch(
    parsed: ModelName,
    file: _WantedFile,
    timeout_s: float,
    count: Callable[[int], None],
    check: Callable[[], None] = lambda: None,
) -> Path:
    """Download one file into the hub's cache and check it; a wrong one is removed."""
    from huggingface_hub import hf_hub_download

    path = Path(hf_hub_download(file.repository, file.name, etag_timeout=timeout_s, tqdm_class=counting_bar(count)))
    check()
    if not _is_right(file, path):
        _remove(path)
        raise HubError(
            f"{file.name} of {parsed} came broken from {endpoint()} (its length or hash is not what the hub "
            "announced) and was removed; try again."
        )
    return path


def _is_right(file: _WantedFile, path: Path) -> bool:
    from huggingface_hub.utils.sha import git_hash, sha_fileobj

    if file.size and path.stat().st_size != file.size:
        return False
    if file.sha256:
        with path.open("rb") as stream:
            return sha_fileobj(stream).hex() == file.sha256.lower()
    if file.git_hash:
        return git_hash(path.read_bytes()) == file.git_hash.lower()
    return True


def _remove(path: Path) -> None:
    """Remove a cached file: the snapshot's entry and the blob that it points to."""
    blob = path.resolve()
    path.unlink(missing_ok=True)
    blob.unlink(missing_ok=True)


def _check_space(parsed: ModelName, total: int) -> None:
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE)
    there = next((place for place in (folder, *folder.parents) if place.exists()), None)
    if there is not None and shutil.disk_usage(there).free < total:
        raise HubError(
            f"{parsed} needs {_size(total)} and {there} has {_size(shutil.disk_usage(there).free)} left; "
            "make room, or set HF_HOME to a folder on a larger disk."
        )
