"""The server's own TLS: it answers over HTTPS, and uses a renewed certificate without a restart."""

from __future__ import annotations

import datetime
import ssl
import time
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fixtures import eventually, free_port, python, server

from app.errors import SetupError
from app.tls import CertificateFiles


def write(folder: Path, name: str) -> CertificateFiles:
    """A self-signed certificate for a name."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    files = CertificateFiles(folder / "cert.pem", folder / "key.pem", check_s=0.05)
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return files


def name_of(context: ssl.SSLContext) -> str:
    """The name in the certificate that a client gets, over a connection in memory."""
    inside, outside = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_context = ssl.create_default_context()
    client_context.check_hostname, client_context.verify_mode = False, ssl.CERT_NONE
    client = client_context.wrap_bio(inside, outside, server_side=False)
    served = context.wrap_bio(outside, inside, server_side=True)
    for _ in range(6):
        for side in (client, served):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    certificate = x509.load_der_x509_certificate(client.getpeercert(binary_form=True) or b"")
    return str(certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)


def test_a_renewed_certificate_is_used_without_a_restart(tmp_path: Path) -> None:
    files = write(tmp_path, "old")
    context = files.context()
    assert name_of(context) == "old"
    files.key.write_text("half of a renewal", encoding="utf-8")
    time.sleep(0.2)
    assert name_of(context) == "old"
    write(tmp_path, "new")
    eventually(lambda: name_of(context) == "new", timeout_s=10)


def test_old_versions_of_tls_are_refused(tmp_path: Path) -> None:
    assert write(tmp_path, "x").load().minimum_version >= ssl.TLSVersion.TLSv1_2


def test_files_that_cannot_be_used_are_one_clear_line(tmp_path: Path) -> None:
    files = write(tmp_path, "x")
    files.key.write_text("nonsense", encoding="utf-8")
    with pytest.raises(SetupError, match=r"cert\.pem and .*key\.pem cannot be used"):
        files.load()
    with pytest.raises(SetupError, match="No such file"):
        CertificateFiles(tmp_path / "none.pem", files.key).load()


def test_one_file_alone_is_refused(tmp_path: Path) -> None:
    code = "from app.cli import main; main(['serve', '--tls-cert', 'x.pem'])"
    done = python(tmp_path, code)
    assert done.returncode == 1
    assert done.stderr.strip().endswith("TLS needs both --tls-cert and --tls-key.")


def test_the_server_speaks_https(tmp_path: Path) -> None:
    files = write(tmp_path, "watchpost")
    flags = ("--tls-cert", str(files.certificate), "--tls-key", str(files.key))
    port = free_port()
    with server(tmp_path, *flags, port=port) as started:

        def answers() -> httpx.Response | None:
            assert started.process.poll() is None, started.output
            try:
                return httpx.get(f"https://127.0.0.1:{port}/healthz", verify=False, trust_env=False)
            except httpx.TransportError:
                return None

        reply: httpx.Response = eventually(answers)
        assert reply.status_code == 200
        assert "strict-transport-security" in reply.headers
        eventually(lambda: f"https://localhost:{port}" in started.output)
        assert started.end() == 0
