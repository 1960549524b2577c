"""Reads one HTTP request of the server into a `Received`.

Rule: nothing that a client sends is held whole but small bodies: files are hashed while they stream
in. A body that announces more than the API takes is not read at all, one that lies about it is cut.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from aiohttp import BodyPartReader, web

from batcher.simulator.api import BODY_BYTES_MAX
from batcher.simulator.wire import HEAD_BYTES, Received, Upload

TEXT_BYTES_MAX: Final = 8_388_608  # of a JSON body or a form field: the largest are a few KB
_CHUNK_BYTES: Final = 65_536


class _TooLarge(Exception):
    """More came than is read."""


async def read_received(request: web.BaseRequest) -> Received:
    """Read *request* whole; `broken` says that its body is not what its headers promise."""
    method = request.method
    if method == "GET" or (request.content_length or 0) > BODY_BYTES_MAX:
        size = request.content_length or 0
        return Received(method, request.path, request.query, request.headers, size_bytes=size)

    if "expect" in request.headers and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    if request.content_type == "multipart/form-data":
        return await _read_multipart(request)

    body, size = bytearray(), 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size <= TEXT_BYTES_MAX:
            body += chunk

    broken = size > TEXT_BYTES_MAX
    return Received(
        method,
        request.path,
        request.query,
        request.headers,
        bytes(body),
        size_bytes=size,
        broken=broken,
    )


async def _read_multipart(request: web.BaseRequest) -> Received:
    form: list[tuple[str, str]] = []
    files: list[Upload] = []
    size, broken = 0, False
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or not part.name:
                raise ValueError("a part without a name")

            if part.filename is None:
                text = await _read_text(part)
                form.append((part.name, text.decode("utf-8", "replace")))
                size += len(text)
            else:
                files.append(await _read_file(part))
                size += files[-1].size_bytes
    except _TooLarge:
        size = BODY_BYTES_MAX + 1
    except (ValueError, AssertionError):  # aiohttp: no boundary, no header end, a nested part
        broken = True

    return Received(
        request.method,
        request.path,
        request.query,
        request.headers,
        form=tuple(form),
        files=tuple(files),
        size_bytes=max(size, request.content_length or 0),
        broken=broken,
    )


async def _read_text(part: BodyPartReader) -> bytes:
    text = bytearray()
    while chunk := await part.read_chunk(_CHUNK_BYTES):
        text += chunk
        if len(text) > TEXT_BYTES_MAX:
            raise _TooLarge

    return bytes(text)


async def _read_file(part: BodyPartReader) -> Upload:
    digest, size, head = sha256(), 0, b""
    while chunk := await part.read_chunk(_CHUNK_BYTES):
        digest.update(chunk)
        size += len(chunk)
        if len(head) < HEAD_BYTES:
            head = (head + chunk)[:HEAD_BYTES]

        if size > BODY_BYTES_MAX:
            raise _TooLarge

    return Upload(
        field=part.name or "",
        filename=part.filename or "",
        content_type=part.headers.get("content-type", "application/octet-stream"),
        size_bytes=size,
        sha256=digest.hexdigest(),
        head=head,
    )
