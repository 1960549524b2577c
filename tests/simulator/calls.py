"""Short ways to call a simulation in tests: one API's requests, and its answers read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from batcher.simulator import FaultPlan, Received, Reply, Simulation, Upload

T0 = 1_800_000_000.0  # some epoch second


def photo(name: str = "a.png", content_type: str = "image/png", size: int = 1000) -> Upload:
    """Return an uploaded file whose content is told apart by its name."""
    return Upload("file", name, content_type, size, sha256=name.encode().hex().ljust(64, "0"))


def png_head(width: int, height: int) -> bytes:
    """Return the first bytes of a PNG of this size in pixels."""
    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + size + bytes(8)


def body_of(reply: Reply) -> Any:
    """Return the JSON of an answer."""
    return orjson.loads(reply.body)


@dataclass
class RemovitCalls:
    """Removit, called as its documentation shows."""

    simulation: Simulation
    headers: Mapping[str, str]
    now_s: float = T0

    @classmethod
    def with_faults(cls, text: str = "", seed: int = 0) -> RemovitCalls:
        """Start a simulation with these faults and the test key."""
        return cls(Simulation("removit", FaultPlan.parse(text), seed), {"x-api-key": "test-key"})

    def upload(self, **fields: object) -> Reply:
        """Submit JSON."""
        return self.raw(orjson.dumps(fields))

    def raw(self, body: bytes, content_type: str = "application/json") -> Reply:
        """Submit these bytes."""
        headers = {**self.headers, "content-type": content_type}
        received = Received("POST", "/api/v1/upload", {}, headers, body, size_bytes=len(body))
        return self.simulation.handle(received, self.now_s)

    def send_file(self, upload: Upload | None, **form: str) -> Reply:
        """Submit multipart."""
        headers = {**self.headers, "content-type": "multipart/form-data; boundary=x"}
        received = Received("POST", "/api/v1/upload", {}, headers, form=tuple(form.items()))
        if upload is not None:
            received = replace(received, files=(upload,), size_bytes=upload.size_bytes)

        return self.simulation.handle(received, self.now_s)

    def status(self, job_id: str | None, *, after_s: float = 0.0) -> Reply:
        """Read a job *after_s* seconds later than now."""
        query = {} if job_id is None else {"job_id": job_id}
        received = Received("GET", "/api/v1/status", query, self.headers)
        return self.simulation.handle(received, self.now_s + after_s)

    def job(self, **fields: object) -> str:
        """Submit and return the job's id."""
        reply = self.upload(**({"file_url": "https://example.com/a.jpg"} | fields))
        return str(body_of(reply)["job_id"])


@dataclass
class DeApiCalls:
    """deAPI, called as its documentation shows."""

    simulation: Simulation
    headers: Mapping[str, str]
    now_s: float = T0

    @classmethod
    def with_faults(cls, text: str = "", seed: int = 0) -> DeApiCalls:
        """Start a simulation with these faults and the test key."""
        headers = {
            "authorization": "Bearer test-key",
            "accept": "application/json",
            "user-agent": "batcher/1",
        }
        return cls(Simulation("deapi", FaultPlan.parse(text), seed), headers)

    def get(
        self, path: str, query: Mapping[str, str] | None = None, *, after_s: float = 0.0
    ) -> Reply:
        """Read *path*."""
        received = Received("GET", path, query or {}, self.headers)
        return self.simulation.handle(received, self.now_s + after_s)

    def remove(self, upload: Upload | None = None, /, **form: str) -> Reply:
        """Submit a background removal."""
        form = {"model": "Ben2", **form}
        return self.multipart("background-removals", (upload or photo(),), **form)

    def multipart(
        self, task: str, files: tuple[Upload, ...], /, name: str = "image", **form: str
    ) -> Reply:
        """Submit multipart; the files go into the field *name*."""
        return self.post_form(f"/api/v2/images/{task}", files, name, **form)

    def post_form(
        self, path: str, files: tuple[Upload, ...] = (), name: str = "image", /, **form: str
    ) -> Reply:
        """Post multipart; the files go into the field *name*."""
        headers = {**self.headers, "content-type": "multipart/form-data; boundary=x"}
        received = Received(
            "POST",
            path,
            {},
            headers,
            form=tuple(form.items()),
            files=tuple(replace(file, field=name) for file in files),
            size_bytes=sum(file.size_bytes for file in files),
        )
        return self.simulation.handle(received, self.now_s)

    def generate(self, **fields: object) -> Reply:
        """Submit a generation."""
        return self.post_json("/api/v2/images/generations", **fields)

    def post_json(self, path: str, /, **fields: object) -> Reply:
        """Post JSON."""
        headers = {**self.headers, "content-type": "application/json"}
        received = Received("POST", path, {}, headers, orjson.dumps(fields))
        return self.simulation.handle(received, self.now_s)

    def job(self, **form: str) -> str:
        """Submit a background removal and return the job's id."""
        return str(body_of(self.remove(**form))["data"]["request_id"])

    @property
    def balance(self) -> float:
        """What the account says that it holds."""
        return float(body_of(self.get("/api/v2/account/balance"))["data"]["balance"])

    def read(self, job_id: str, *, after_s: float = 0.0) -> Reply:
        """Read a job *after_s* seconds later than now."""
        return self.get(f"/api/v2/jobs/{job_id}", after_s=after_s)
