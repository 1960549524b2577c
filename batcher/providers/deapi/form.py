"""deAPI's multipart forms.

Rule: a list of objects is spelt out as PHP forms want it, `loras[0][name]`, as the vendor's own
client does (deapi-ai/deapi-python-sdk); everything else goes as `parameters.form_fields` has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batcher.providers.parameters import form_fields


def form_of(sent: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return the fields of a form."""
    plain = {name: value for name, value in sent.items() if name != "loras"}
    spelt = {
        f"loras[{n}][{key}]": lora[key]
        for n, lora in enumerate(sent.get("loras", ()))
        for key in ("name", "weight")
    }
    return form_fields(plain) + form_fields(spelt)
