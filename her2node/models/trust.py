"""Whom a package is believed from: pinned hashes for what ships, Ed25519 signatures for everything else.

A signature covers the bytes of package.toml, which holds the SHA-256 of every other file. It stands in
package.toml.sig as one line of base64. Keys are PEM; no private key is ever part of the node.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from her2node.errors import PackageRefused


@dataclass(frozen=True)
class KeyPair:
    """An Ed25519 key pair as PEM (PKCS 8, not encrypted; SubjectPublicKeyInfo)."""

    private_pem: bytes
    public_pem: bytes


def keygen() -> KeyPair:
    """A new key pair."""
    key = Ed25519PrivateKey.generate()
    return KeyPair(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
    )


def sign(manifest: bytes, private_pem: bytes) -> bytes:
    """The content of package.toml.sig for ``manifest``. Raises PackageRefused when this is no Ed25519 private key."""
    try:
        key = serialization.load_pem_private_key(private_pem, password=None)
    except (ValueError, TypeError) as error:
        raise PackageRefused(f"the private key cannot be read: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise PackageRefused("the private key is no Ed25519 key")
    return base64.b64encode(key.sign(manifest)) + b"\n"


@dataclass(frozen=True)
class Trust:
    """``pinned``: package name -> SHA-256 of the package.toml files that ship. ``keys``: trusted public keys."""

    pinned: Mapping[str, frozenset[str]]
    keys: tuple[Ed25519PublicKey, ...] = ()

    def judge(self, name: str, manifest: bytes, signature: bytes | None) -> str:
        """By whom ``manifest`` is trusted: ``shipped`` or a key's fingerprint. Raises PackageRefused."""
        if hashlib.sha256(manifest).hexdigest() in self.pinned.get(name, frozenset()):
            return "shipped"
        if signature is None:
            raise PackageRefused(
                f"{name} is neither shipped nor signed: its package.toml is unknown and there is no package.toml.sig"
            )
        try:
            raw = base64.b64decode(signature.strip(), validate=True)
        except binascii.Error as error:
            raise PackageRefused(f"the signature of {name} is no base64") from error
        for key in self.keys:
            if _signed_by(key, raw, manifest):
                return fingerprint(key)
        raise PackageRefused(
            f"the signature of {name} is by none of the {len(self.keys)} trusted keys, or package.toml was changed"
        )


def fingerprint(key: Ed25519PublicKey) -> str:
    """The first 16 hex digits of the SHA-256 of the raw key."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:16]


def read_key(file: Path) -> Ed25519PublicKey:
    """A public key (PEM). Raises PackageRefused, naming the file, for what is no Ed25519 public key."""
    try:
        key = serialization.load_pem_public_key(file.read_bytes())
    except (OSError, ValueError) as error:
        raise PackageRefused(f"the trusted key {file} cannot be read: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise PackageRefused(f"the trusted key {file} is no Ed25519 key")
    return key


def _signed_by(key: Ed25519PublicKey, signature: bytes, manifest: bytes) -> bool:
    try:
        key.verify(signature, manifest)
    except InvalidSignature:
        return False
    return True
