"""What several tests of adapters are given."""

from __future__ import annotations

import shutil
import ssl
import subprocess

import pytest

from tests.support.hostile import PATIENCE_S


@pytest.fixture(scope="session")
def self_signed(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """Return a server's TLS with a certificate that nobody vouches for."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl makes the certificate")

    pair = tmp_path_factory.mktemp("tls") / "pair.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-keyout", pair, "-out", pair.with_suffix(".crt")),
        ],
        check=True,
        capture_output=True,
        timeout=PATIENCE_S,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.with_suffix(".crt"), pair)
    return context
