"""How Sphinx makes the documentation site of these pages: `make docs`, offline, into build/site."""

from __future__ import annotations

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
html_title = f"batcher {version}"
html_copy_source = html_show_sourcelink = False
autodoc_member_order = "bysource"
autodoc_typehints = "description"


# Pages beside docs/ that are on the site too: where they are linked to, and where they are here.
BESIDE = {"](../benchmarks/README.md": "](/site/benchmarks.md", "](../README.md": "](/index.md"}


def setup(app: Sphinx) -> None:
    """Let links find their pages, and show diagrams as text: the site loads nothing from outside."""
    app.add_directive("mermaid", Diagram)
    app.connect("source-read", find_pages)


def find_pages(app: Sphinx, name: str, source: list[str]) -> None:
    """Let links to what lies beside docs/ lead to its place on the site."""
    for written, here in BESIDE.items():
        source[0] = source[0].replace(written, here)


class Diagram(CodeBlock):
    """A diagram, as the text that it is made from."""

    required_arguments = 0

    def run(self) -> list[nodes.Node]:
        """Return it as plain text."""
        self.arguments = ["text"]
        return super().run()
