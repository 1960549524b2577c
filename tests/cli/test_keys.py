"""A key that is replaced while a run goes on is taken up, and is as secret as the first one."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from batcher.cli.flags.wishes import key_source
from batcher.core.errors import UsageError
from tests.cli.processes import Shell
from tests.support.hostile import Peer, hostile

pytestmark = pytest.mark.e2e

OLD, NEW = "the-old-key-of-the-test", "the-new-key-of-the-test"
SPELT_OUT = "".join(f"\\u{ord(char):04x}" for char in NEW)  # as JSON may write any text
RUN = "runs/m-removit"


class Rotation:
    """A Removit that takes the new key only, and puts it into the file when the old one comes."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self.jobs = 0

    def serve(self, peer: Peer) -> None:
        """Answer the requests of one connection."""
        while True:
            request = peer.request()
            if request.headers["x-api-key"] == OLD:
                self._replace()
                peer.answer(401, b'{"error":"unauthorized","message":"API key invalid"}')
            elif request.line.startswith("POST"):
                peer.answer(202, self._job())
            else:
                peer.answer(404, f'{{"error":"not_found","message":"{SPELT_OUT}"}}'.encode())

    def _replace(self) -> None:
        fresh = self._file.with_name(f"fresh-{threading.get_ident()}")
        fresh.write_text(NEW)
        fresh.chmod(0o600)
        fresh.replace(self._file)  # at once: several answers may do it, while the file is read

    def _job(self) -> bytes:
        with self._lock:
            self.jobs += 1
            return json.dumps({"job_id": f"job-{self.jobs}", "status": "queued"}).encode()


def test_a_key_is_replaced_while_a_run_goes_on(tmp_path: Path) -> None:
    """Its file is read again, every row is submitted once, and neither key is anywhere."""
    shell = Shell(tmp_path, key="")
    shell.write_manifest(3)
    file = tmp_path / "key"
    file.write_text(OLD)
    file.chmod(0o600)
    rotation = Rotation(file)
    with hostile(rotation.serve) as server:
        shell.base_url = server.url
        done = shell.do(
            *shell.run_words("--api-key-file", "key", "--json", "--job-timeout", "2s"),
            *("--log-level", "debug"),
        )

    told = [done.stdout.encode(), done.stderr.encode()]
    told += [path.read_bytes() for path in (tmp_path / RUN).iterdir()]
    assert (done.returncode, rotation.jobs) == (3, 3), done.stderr
    assert b"not_found" in b"".join(told)
    assert not any(key.encode() in text for key in (OLD, NEW) for text in told)


def test_a_resume_goes_on_with_any_key_of_the_run(tmp_path: Path) -> None:
    """A replaced key may have been a mistake: the first one is as good; a stranger's is refused."""
    shell = Shell(tmp_path, key="")
    shell.write_manifest(3)
    file = tmp_path / "key"
    file.write_text(OLD)
    file.chmod(0o600)
    with hostile(Rotation(file).serve) as server:
        shell.base_url = server.url
        shell.do(*shell.run_words("--api-key-file", "key", "--job-timeout", "2s"))
        assert file.read_text() == NEW
        codes = []
        for key in (OLD, "a-key-of-somebody-else"):
            file.write_text(key)
            words = ("--api-key-file", "key")
            codes.append(shell.do("resume", RUN, *words).returncode)

    assert codes == [3, 2]


def test_a_key_that_came_by_a_pipe_is_read_once() -> None:
    """`--api-key-file <(pass show key)`: a second look must not wait for ever."""
    reader, writer = os.pipe()
    os.write(writer, OLD.encode())
    os.close(writer)
    source = key_source("X", f"/dev/fd/{reader}")

    assert source().reveal() == OLD
    with pytest.raises(UsageError, match="twice"):
        source()

    os.close(reader)
