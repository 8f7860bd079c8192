"""Adapts ``ssl``: the OpenSSL of the bundle was compiled for the machine that built the library.

Its default folder of certificates need not exist on this machine, which may keep them elsewhere.
"""

from __future__ import annotations

import functools
import os
from typing import Any

from falco_plugin._runtime import failures
from falco_plugin._runtime.bundle import trusted

BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine, Wolfi, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # RHEL
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # Alpine, BSD
)
"""The files of certificates that distributions have. The first one that exists is used."""


def adapt_ssl(ssl: Any) -> None:
    """Makes the default certificates those of this machine."""
    load = ssl.SSLContext.set_default_verify_paths
    paths = ssl.get_default_verify_paths

    @functools.wraps(load)
    def set_default_verify_paths(self: Any) -> None:
        if _uses_compiled_paths(paths()):
            load(self)
        elif file := _first_bundle():
            self.load_verify_locations(file)
        else:
            _warn()

    @functools.wraps(paths)
    def get_default_verify_paths() -> Any:
        compiled = paths()
        if _uses_compiled_paths(compiled):
            return compiled
        return compiled._replace(cafile=_first_bundle(), capath=None)

    ssl.SSLContext.set_default_verify_paths = set_default_verify_paths
    ssl.get_default_verify_paths = get_default_verify_paths


def _uses_compiled_paths(paths: Any) -> bool:
    """Returns whether OpenSSL finds certificates itself: by its environment variables, or in its default folder."""
    if paths.openssl_cafile_env in os.environ or paths.openssl_capath_env in os.environ:
        return True
    existing = [path for path in (paths.openssl_cafile, paths.openssl_capath) if os.path.lexists(path)]
    # Another user may have made the folder that OpenSSL was compiled for, for example one in /home.
    if any(map(trusted.reason_against, existing)):
        return False
    return any(os.path.isfile(path) or (os.path.isdir(path) and os.listdir(path)) for path in existing)


def _first_bundle() -> str | None:
    return next((path for path in BUNDLES if os.path.isfile(path)), None)


@functools.cache
def _warn() -> None:
    failures.warn(
        "ssl: this machine has no file with certificates of authorities, so the certificate of no server can be "
        "verified: install the package ca-certificates, or set SSL_CERT_FILE"
    )
