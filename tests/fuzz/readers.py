"""Every reader of foreign bytes, by name: a function that takes bytes and may only return.

Rule: what a reader may raise, its harness takes; whatever else comes out is a fault. A reader that
is new gets a harness here and seeds in `seeds`.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.fuzz import answers, books, configuration, contents, rows

Reader = Callable[[bytes], None]

READERS: dict[str, Reader] = {
    reader.__name__: reader
    for reader in (
        *(answers.removit, answers.deapi, answers.limits, answers.call),
        *(rows.jsonl, rows.table, rows.text, rows.stdin, rows.record, rows.decisions),
        *(contents.picture, contents.whole, contents.content, contents.name, contents.address),
        *(configuration.run_file, configuration.config, configuration.flag, configuration.summary),
        *(configuration.holder, configuration.key, books.journal, books.fact),
    )
}
