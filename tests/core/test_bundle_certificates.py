"""TLS in a bundle uses the certificates of the machine, wherever its distribution keeps them."""

from __future__ import annotations

import shutil
from pathlib import Path

import certifi
import pytest
from support.bundles import printed

CODE = """
    import _ssl, logging, os, sys
    folder, bundle = os.environ["COMPILED"], os.environ["BUNDLE"]
    _ssl.get_default_verify_paths = lambda: (
        "SSL_CERT_FILE", f"{folder}/cert.pem", "SSL_CERT_DIR", f"{folder}/certs"
    )
    import ssl
    from falco_plugin._runtime.bundle import certificates
    logging.basicConfig(stream=sys.stdout)
    certificates.BUNDLES = ("/nonexistent/first.pem", bundle, "/nonexistent/last.pem")
    print(ssl.get_default_verify_paths().cafile)
    counts = [len(ssl.create_default_context().get_ca_certs())]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs()
    print(*dict.fromkeys([*counts, len(context.get_ca_certs())]))
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A file of certificates, in a folder that only this user can write to."""
    tmp_path.chmod(0o700)
    return Path(shutil.copy(certifi.where(), tmp_path / "bundle.pem"))


def run(bundle: Path, compiled: Path, **env: str | None) -> list[str]:
    # The machine that runs the tests may have set the variables.
    env = {"SSL_CERT_FILE": None, "SSL_CERT_DIR": None, "COMPILED": str(compiled), "BUNDLE": str(bundle), **env}
    return printed(CODE, env=env)


def count_of(bundle: Path) -> str:
    return str(bundle.read_text().count("BEGIN CERTIFICATE"))


@pytest.mark.parametrize("kind", ["absent", "empty", "writable by others", "link to one writable by others"])
def test_bundle_of_distribution_replaces_unusable_default(tmp_path: Path, bundle: Path, kind: str) -> None:
    compiled = tmp_path / "compiled"
    if kind != "absent":
        (compiled / "certs").mkdir(parents=True)
    if "writable" in kind:
        target = tmp_path / "target.pem"
        target.write_text("")
        target.chmod(0o666)
        (compiled / "cert.pem").symlink_to(target)
    assert run(bundle, compiled) == [str(bundle), count_of(bundle)]


def test_usable_default_is_kept(tmp_path: Path, bundle: Path) -> None:
    compiled = tmp_path / "compiled"
    compiled.mkdir()
    (compiled / "cert.pem").write_text("")
    assert run(bundle, compiled)[0] == str(compiled / "cert.pem")


def test_environment_variable_is_used(tmp_path: Path, bundle: Path) -> None:
    lines = run(tmp_path / "absent.pem", tmp_path / "absent", SSL_CERT_FILE=str(bundle))
    assert lines == [str(bundle), count_of(bundle)]


def test_missing_certificates_are_reported_once(tmp_path: Path) -> None:
    lines = run(tmp_path / "absent.pem", tmp_path / "absent")
    assert lines == [
        "None",
        "WARNING:falco_plugin:ssl: this machine has no file with certificates of authorities, so the certificate of no "
        "server can be verified: install the package ca-certificates, or set SSL_CERT_FILE",
        "0",
    ]
