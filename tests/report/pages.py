"""Reading a page as a browser does, as far as a test has to: elements, texts, addresses."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = frozenset({"meta", "link", "br", "img", "input", "hr"})


@dataclass
class Element:
    """One element: its name, its attributes, and the text directly in it."""

    name: str
    attributes: dict[str, str]
    text: str = ""


@dataclass
class Read(HTMLParser):
    """A page. Reading fails on an element that is not closed, or closed in the wrong place."""

    elements: list[Element] = field(default_factory=list)
    text: str = ""  # all of it, but for style and script

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element."""
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice: {names}"
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open and close an element."""
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        """Close an element."""
        assert self._open, f"</{tag}> closes nothing"
        assert self._open[-1].name == tag, f"</{tag}> closes <{self._open[-1].name}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        """Take text in."""
        if self._open:
            self._open[-1].text += data
            if self._open[-1].name not in ("style", "script"):
                self.text += data

    def all(self, name: str) -> list[Element]:
        """Return the elements of one name."""
        return [element for element in self.elements if element.name == name]

    def one(self, name: str) -> Element:
        """Return the only element of its name."""
        (element,) = self.all(name)
        return element

    def finish(self) -> None:
        """Fail if something is still open."""
        self.close()
        assert not self._open, f"never closed: {[element.name for element in self._open]}"


def read(page: bytes | str) -> Read:
    """Read a page; one that is not well formed fails the test."""
    text = page.decode() if isinstance(page, bytes) else page
    found = Read()
    found.feed(text)
    found.finish()
    return found
