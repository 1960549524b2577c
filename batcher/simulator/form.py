"""The body of a submit as one mapping, whether it came as JSON or as multipart.

Rule: text stays text (multipart knows no numbers), a file is an `Upload`, a field that came twice
is `REPEATED`, which no rule accepts; only names that end in `[]` may repeat.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Final

import orjson

from batcher.simulator.wire import Received, Upload

REPEATED: Final = object()


def read_form(received: Received) -> Mapping[str, object] | None:
    """Return the fields of the body, or None if it is not what its content type says."""
    if received.broken:
        return None

    kind = received.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        return _read_json(received.body)

    return _gather(received) if kind == "multipart/form-data" else None


def reference_of_body(form: Mapping[str, object] | None, received: Received) -> str:
    """Return a text that identifies a submit by everything in it, readable where possible."""
    if form is None:
        return f"malformed:{sha256(received.body).hexdigest()[:16]}"

    option = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS
    return orjson.dumps(form, option=option, default=_as_text).decode()


def reference_of_upload(upload: Upload) -> str:
    """Return a text that identifies a file: its name and its content."""
    name = upload.filename.encode("utf-8", "backslashreplace").decode()
    return f"{name}:{upload.sha256[:16]}"


def _read_json(body: bytes) -> Mapping[str, object] | None:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None

    return value if isinstance(value, dict) else None


def _gather(received: Received) -> Mapping[str, object]:
    parts: list[tuple[str, str | Upload]] = [*received.form]
    parts += [(upload.field, upload) for upload in received.files]
    form: dict[str, object] = {}
    for name, value in parts:
        if name.endswith("[]"):
            listed = form.setdefault(name, [])
            assert isinstance(listed, list)  # noqa: S101  # only this line puts it there
            listed.append(value)
        else:
            form[name] = REPEATED if name in form else value

    return form


def _as_text(value: object) -> str:
    return reference_of_upload(value) if isinstance(value, Upload) else "repeated"
