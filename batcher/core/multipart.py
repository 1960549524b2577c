"""The bytes around the files of a multipart/form-data body (RFC 7578).

Rule: everything but the files' own content, so that the length of a body is known before a file is
read. Names are written as browsers write them (HTML, "multipart form data": only the quote and line
ends are escaped, as %22, %0D, %0A), because that is what servers are tested with.
"""

from __future__ import annotations

from collections.abc import Iterable

from batcher.core.exchange import FilePart

_ESCAPES = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})


def frames(
    form: Iterable[tuple[str, str]], files: Iterable[FilePart], boundary: str
) -> list[bytes]:
    """Return what stands before the first file, between two files, and after the last one.

    That is one more than there are files; without files it is the whole body.
    """
    done: list[bytes] = []
    frame = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{_escaped(name)}"\r\n\r\n'
        f"{value}\r\n"
        for name, value in form
    )
    for part in files:
        frame += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{_escaped(part.field)}"; '
            f'filename="{_escaped(part.filename)}"\r\n'
            f"Content-Type: {_escaped(part.content_type)}\r\n\r\n"
        )
        done.append(_encoded(frame))
        frame = "\r\n"

    return [*done, _encoded(f"{frame}--{boundary}--\r\n")]


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES)


def _encoded(text: str) -> bytes:
    """Encode; what is no Unicode (a file name of other bytes, half an emoji) becomes `?`."""
    return text.encode("utf-8", "replace")
