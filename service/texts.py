"""Which texts can be searched, scored or rated, and how names are compared."""

from __future__ import annotations

import unicodedata

from service.errors import UsageError

MAX_CHARACTERS = 1000


def check_text(text: str) -> None:
    """Raises `UsageError` for a text that is empty, too long or not valid Unicode."""
    if not text.strip():
        raise UsageError("The text is empty; say what the photograph should show.")
    if len(text) > MAX_CHARACTERS:
        raise UsageError(
            f"The text has {len(text):,} characters, and at most {MAX_CHARACTERS:,} are searched; shorten it."
        )
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(
            "The text is not Unicode: it holds half of a character, or bytes that are not UTF-8; type it again."
        ) from None


def fold(text: str) -> str:
    """A name as it is compared with others: without regard to case, and to how accents are encoded (Unicode NFC)."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
