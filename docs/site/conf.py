"""How Sphinx makes the documentation site of these pages: `make docs`, offline, into build/site."""

from __future__ import annotations

import re
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.directives.code import CodeBlock

import batcher

project = "batcher"
author = "the batcher authors"
version = release = batcher.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click"]
exclude_patterns = ["deploy/*"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
myst_fence_as_directive = ["mermaid"]
html_theme = "furo"
smartquotes = False
html_title = f"batcher {version}"
html_copy_source = html_show_sourcelink = False
autodoc_member_order = "bysource"
autodoc_typehints = "description"


# Pages beside docs/ that are on the site too: where they are linked to, and where they are here.
BESIDE = {"](../benchmarks/README.md": "](/site/benchmarks.md", "](../README.md": "](/index.md"}
TO_CODE = re.compile(r"\[([^]]+)\]\([\w/]+\.(?:py|jsonl?)\)")  # code and data are not on the site
INCLUDED = {"](peers/README.md": "](/site/peers.md"}


def setup(app: Sphinx) -> None:
    """Let links find their pages, and show diagrams as text: nothing is loaded from outside."""
    app.add_directive("mermaid", Diagram)
    app.connect("source-read", find_pages)
    app.connect("include-read", find_included)


def find_pages(app: Sphinx, name: str, source: list[str]) -> None:
    """Let links to what lies beside docs/ lead to its place on the site."""
    for written, here in BESIDE.items():
        source[0] = source[0].replace(written, here)


def find_included(app: Sphinx, path: Path, name: str, source: list[str]) -> None:
    """Do the same in pages that are taken in whole."""
    for written, here in INCLUDED.items():
        source[0] = source[0].replace(written, here)

    source[0] = TO_CODE.sub(r"\1", source[0])


class Diagram(CodeBlock):
    """A diagram, as the text that it is made from."""

    required_arguments = 0

    def run(self) -> list[nodes.Node]:
        """Return it as plain text."""
        self.arguments = ["text"]
        return super().run()
