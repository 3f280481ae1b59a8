"""What a walk leaves out, with the reason: a code that is stored, and a sentence for people."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why a file or folder is not indexed. The value is a stable code; `sentence` follows the word "skipped"."""

    sentence: str

    def __new__(cls, code: str, sentence: str) -> Reason:
        """A member whose value is `code`."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.sentence = sentence
        return member

    RUBBISH = "rubbish", "files that a NAS, an operating system or a photo program keeps for itself"
    HIDDEN = "hidden", "hidden files and folders"
    NOMEDIA = "nomedia", "folders that hold a file .nomedia"
    IGNORED = "ignored", "files and folders that a file .smyslignore leaves out"
    EXCLUDED = "excluded", "files and folders that --exclude leaves out"
    TOO_SMALL_FILE = "too-small-file", "files smaller than --min-bytes"
    LINK = "link", "symbolic links, which are not followed"
    REPEATED = "repeated", "links to folders that are indexed anyway"
    LINK_UPWARDS = "link-upwards", "links to folders that contain an indexed folder"
    SPECIAL = "special", "pipes, sockets and devices"
    VIDEO = "video", "films, which smysl does not search"
    NOT_PHOTOGRAPH = "not-photograph", "files that are not photographs"
    NOT_UTF8 = "not-utf8", "names that are not valid UTF-8"
    UNREADABLE = "unreadable", "files and folders that cannot be read"
    BAD_IGNORE_FILE = "bad-ignore-file", "files .smyslignore that cannot be used"


def sentence_of(code: str) -> str:
    """Why something was left out, for people; `code` itself where a newer version of smysl wrote it."""
    return next((reason.sentence for reason in Reason if reason == code), code)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file or folder that is not indexed.

    Attributes:
        name: in its folder; "" is the listed folder itself. Bytes that are not UTF-8 are replaced.
        reason: why.
        is_folder: a folder, whose content was not walked.
        detail: a sentence about this one, where there is more to say than the reason's.
    """

    name: str
    reason: Reason
    is_folder: bool = False
    detail: str = ""

    @property
    def sentence(self) -> str:
        """Why, for people."""
        return self.detail or self.reason.sentence
