"""TLS for associations in both directions, by the BCP 195 profile of PS3.15 (TLS 1.2 or newer)."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from her2node.errors import SettingsRefused
from her2node.settings import ReceptionTls, TlsFiles


def server_context(files: ReceptionTls) -> ssl.SSLContext:
    """TLS for associations that peers open. Raises SettingsRefused, which names the file that cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, files)
    if files.ca:
        context.verify_mode = ssl.CERT_REQUIRED if files.client_certificate_required else ssl.CERT_OPTIONAL
    return context


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """TLS for associations that the node opens: the peer's certificate and name are checked.

    Without ``ca`` the system's authorities decide. Raises SettingsRefused.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, files)
    if not files.ca:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    return context


def _load(context: ssl.SSLContext, files: TlsFiles) -> None:
    if files.ca:
        with _naming(files.ca):
            context.load_verify_locations(cafile=files.ca)
    if files.certificate:
        with _naming(files.certificate):
            context.load_cert_chain(files.certificate, files.key, _password(files.key_password_file))


def _password(file: Path | None) -> str:
    """The key's password; empty, never None: without one OpenSSL would ask on the terminal."""
    if file is None:
        return ""
    with _naming(file):
        return file.read_text().strip()


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Turn what OpenSSL or the disk says into a refusal that names the file."""
    try:
        yield
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise SettingsRefused(f"{file} cannot be used for TLS: {error}") from error
