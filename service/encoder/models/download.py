"""Downloads a model from the model hub: its total size is known before the first byte, every file is checked after.

Files come through huggingface_hub, one by one. Three things are done here, because its own dry run and checks do not:

- Size and files come from one answer of the hub, with a deadline. `dry_run=True` sends a request for each file, and
  with a hub that does not answer it retries for minutes; `snapshot_download` downloads in parallel, so that after an
  interruption a model without its tokenizer could look complete.
- Each file's hash is compared with the hub's. Plain HTTP downloads are checked for their length only, a dry run counts
  a damaged file as cached, and `verify_repo_checksums` hashes everything cached of a repository, also what we do not
  use, after a further request without a deadline.
- The disk must have room for all files: huggingface_hub only warns, file by file.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from service.config import MINI
from service.encoder.models.hub import UnreachableError, ask_hub, counting_bar, endpoint, hub_errors, quiet_hub
from service.encoder.models.hub_cache import (
    CONFIGURATION,
    TOKENIZER_CONFIGURATION,
    TOKENIZER_FILES,
    RequiredFile,
    cached_file,
    first_files,
    is_on_this_machine,
    text_files,
)
from service.encoder.models.names import ModelName, parse_name
from service.errors import HubError, ModelError, NotFoundError

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

Stage = Literal["start", "download", "check", "done"]


@dataclass(frozen=True)
class DownloadProgress:
    """Where a download stands.

    Attributes:
        stage: "start" once, before the first byte; then "download" and "check" for each file; "done" once.
        model: the model's name.
        file: the file that is being downloaded or checked; "" for "start" and "done".
        done_bytes: bytes downloaded so far, of all files.
        total_bytes: bytes to download, of all files that are not cached.
    """

    stage: Stage
    model: str
    file: str
    done_bytes: int
    total_bytes: int


OnDownload = Callable[[DownloadProgress], None]


@dataclass(frozen=True)
class _HubFile:
    """A file of a repository, with the size and hash that the hub announces."""

    repository: str
    announced: RepoSibling

    @property
    def name(self) -> str:
        return self.announced.rfilename

    @property
    def size(self) -> int:
        return self.announced.size or 0

    def is_intact(self, path: Path) -> bool:
        """Whether the file at `path` has the announced length and hash: SHA-256 for large files, else git's SHA-1."""
        from huggingface_hub.utils.sha import git_hash, sha_fileobj

        if self.announced.size not in (None, path.stat().st_size):
            return False
        with path.open("rb") as stream:
            if self.announced.lfs:
                return sha_fileobj(stream).hex() == self.announced.lfs.sha256
            return self.announced.blob_id in (None, git_hash(stream.read()))


def ensure_downloaded(name: str, *, timeout_s: float = 5.0, on_progress: OnDownload | None = None) -> None:
    """Make sure that a model can be loaded without a network; download it where it is not cached.

    Respects HF_ENDPOINT, HF_HUB_OFFLINE, HF_HOME and HF_TOKEN, as all of huggingface_hub does.

    Args:
        name: a model's name as `--model` takes it.
        timeout_s: seconds that the hub may take to answer the first request.
        on_progress: called with the total before the first byte, then as bytes arrive.

    Raises:
        UsageError: no such model.
        NotFoundError: the folder of a `local-dir:` model does not exist.
        HubError: the hub cannot be reached, has no such model, or sent a damaged file.
    """
    parsed = parse_name(name)
    if parsed.folder is not None:
        _check_folder(parsed)
        return
    if is_on_this_machine(parsed.text):
        return
    _check_online(parsed)
    with quiet_hub(), hub_errors(parsed.text):
        missing = [file for file in _needed_files(parsed, timeout_s) if not _is_cached(file)]
        _download_all(parsed, missing, timeout_s, on_progress or (lambda progress: None))


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


def _needed_files(parsed: ModelName, timeout_s: float) -> list[_HubFile]:
    """Every file that the model needs. The file by which a part counts as cached comes last of its part."""
    answers: dict[str, dict[str, RepoSibling]] = {}
    needed: dict[tuple[str, str], _HubFile] = {}

    def add(part: RequiredFile) -> None:
        if part.repository not in answers:
            info = ask_hub(parsed.text, part.repository, timeout_s)
            answers[part.repository] = {sibling.rfilename: sibling for sibling in info.siblings or []}
        for file in _files_of(part, answers[part.repository]):
            needed[part.repository, file.name] = file

    for part in first_files(parsed):
        add(part)
        if part.role == "configuration":
            # It names the tokenizer's repository, so the total is not known before it is here.
            for file in needed.values():
                _download(parsed, file, timeout_s, lambda number: None)
    for part in text_files(parsed):
        add(part)
        if part.role == "tokenizer" and (part.repository, TOKENIZER_CONFIGURATION) not in needed:
            _note_absence(part.repository, TOKENIZER_CONFIGURATION, timeout_s)
    return list(needed.values())


def _note_absence(repository: str, file: str, timeout_s: float) -> None:
    """Let huggingface_hub note in its cache that a repository has no such file.

    Without the note, transformers asks the hub for the file each time.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    with suppress(EntryNotFoundError):
        hf_hub_download(repository, file, etag_timeout=timeout_s)


def _files_of(part: RequiredFile, siblings: dict[str, RepoSibling]) -> list[_HubFile]:
    chosen = next((choice for choice in part.choices if choice in siblings), None)
    if chosen is None:
        raise HubError(
            f"{part.repository} on {endpoint()} has no {part.role} that open_clip could load "
            f"(none of {', '.join(part.choices)}); choose another model with `smysl models`."
        )
    names = [name for name in TOKENIZER_FILES if name in siblings] if part.role == "tokenizer" else []
    return [_HubFile(part.repository, siblings[name]) for name in [*names, chosen]]


def _is_cached(file: _HubFile) -> bool:
    """Whether a file is cached and intact; a damaged one is removed from the cache."""
    path = cached_file(file.repository, file.name)
    if path is None:
        return False
    if file.is_intact(path):
        return True
    _remove(path)
    return False


def _download_all(parsed: ModelName, files: list[_HubFile], timeout_s: float, on_progress: OnDownload) -> None:
    total = sum(file.size for file in files)
    _check_space(parsed, total)
    done = 0

    def report(stage: Stage, file: str = "") -> None:
        on_progress(DownloadProgress(stage, parsed.text, file, min(done, total), total))

    def count(file: str, number: int) -> None:
        nonlocal done
        done += number
        report("download", file)

    report("start")
    for file in files:
        before = done
        _download(parsed, file, timeout_s, partial(count, file.name), partial(report, "check", file.name))
        # Not the bytes counted: another process may have downloaded the file meanwhile.
        done = before + file.size
    report("done")


def _download(
    parsed: ModelName,
    file: _HubFile,
    timeout_s: float,
    count: Callable[[int], None],
    before_check: Callable[[], None] = lambda: None,
) -> None:
    """Download one file into the hub's cache and check it; a damaged one is removed."""
    from huggingface_hub import hf_hub_download

    path = Path(hf_hub_download(file.repository, file.name, etag_timeout=timeout_s, tqdm_class=counting_bar(count)))
    before_check()
    if not file.is_intact(path):
        _remove(path)
        raise HubError(
            f"{file.name} of {parsed} arrived damaged from {endpoint()} (its length or hash is not what the hub "
            "announced) and was removed; try again."
        )


def _remove(path: Path) -> None:
    """Remove a file from the hub's cache: the snapshot's entry and the blob that it links to."""
    blob = path.resolve()
    path.unlink(missing_ok=True)
    blob.unlink(missing_ok=True)


def _check_space(parsed: ModelName, total: int) -> None:
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE)
    disk = next((parent for parent in (folder, *folder.parents) if parent.exists()), None)
    if disk is not None and shutil.disk_usage(disk).free < total:
        raise HubError(
            f"{parsed} needs {size_text(total)} and {disk} has {size_text(shutil.disk_usage(disk).free)} left; "
            "make room, or set HF_HOME to a folder on a larger disk."
        )


def size_text(count: int) -> str:
    """A number of bytes for a person, as "1.5 GB" or "0.3 MB"."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(count / 1e6, 0.1):.1f} MB"
