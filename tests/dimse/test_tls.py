from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from her2node.dimse.tls import client_context, server_context
from her2node.errors import SettingsRefused
from her2node.settings import ReceptionTls, TlsFiles
from tests.wire.certificates import Authority


def test_a_server_asks_for_certificates_where_the_settings_say_so(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("node")
    files = {"certificate": certificate, "key": key, "ca": authority.file, "port": 2762}
    required = server_context(ReceptionTls(**files))
    optional = server_context(ReceptionTls(**files, client_certificate_required=False))
    assert required.verify_mode is ssl.CERT_REQUIRED
    assert optional.verify_mode is ssl.CERT_OPTIONAL
    assert required.minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_client_checks_certificate_and_name(tmp_path: Path) -> None:
    context = client_context(TlsFiles(ca=Authority(tmp_path).file))
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


@pytest.mark.parametrize("missing", ["certificate", "key", "ca", "key_password_file"])
def test_a_file_that_cannot_be_used_is_refused_by_name(tmp_path: Path, missing: str) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("node")
    files = {"certificate": certificate, "key": key, "ca": authority.file, missing: tmp_path / "nowhere"}
    with pytest.raises(SettingsRefused, match="nowhere" if missing != "key" else "node.pem"):
        server_context(ReceptionTls(**files))
