"""A report as a reader gets it: its text and addresses, and a name that tries to become markup."""

from __future__ import annotations

from html.parser import HTMLParser

HOSTILE = '"><script>document.title = "hacked"</script><img src=http://elsewhere.example/x onerror=alert(1)>'


class Outline(HTMLParser):
    """Tags, addresses and text of a page; refuses what is closed in another order than it was opened."""

    void = frozenset({"meta", "img", "br", "circle", "rect", "path", "polyline"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag not in self.void:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.void:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
