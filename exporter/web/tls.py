"""Makes the TLS contexts of Python's ssl from a web configuration."""

from __future__ import annotations

import errno
import os
import ssl
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exporter.errors import SettingsError
from exporter.web.addresses import parse_address
from exporter.web.configuration import Pem, TlsSettings
from exporter.web.tls_names import CIPHERS


@dataclass(frozen=True, slots=True)
class Tls:
    """The TLS of a web configuration."""

    context: ssl.SSLContext
    #: A client certificate must have one of these alternative names; ``None``: any.
    allowed_sans: frozenset[str] | None = None
    #: The curve that is used of those in the configuration, by OpenSSL's name; empty: any.
    curve: str = ""


def build_tls(settings: TlsSettings) -> Tls:
    """Read the certificates and keys, and make a TLS context. Raises SettingsError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = settings.max_version
    context.minimum_version = settings.min_version
    context.set_alpn_protocols(["http/1.1"])
    # Obsolete, and a client can use it to cause endless work.
    context.options |= ssl.OP_NO_RENEGOTIATION
    if settings.prefer_server_ciphers:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    _choose_ciphers(context, settings)
    curve = _choose_curve(context, settings) if settings.curves else ""
    _load_certificate(context, settings.certificate, settings.key)
    if settings.client_auth != ssl.CERT_NONE:
        _verify_clients(context, settings)
    return Tls(context, settings.allowed_sans, curve)


def _choose_curve(context: ssl.SSLContext, settings: TlsSettings) -> str:
    """Set the first curve that is supported. Python accepts one; the others are refused."""
    for curve in settings.curves:
        with suppress(ssl.SSLError, ValueError):  # X25519 in CPython 3.11.2, for example
            context.set_ecdh_curve(curve)
            return curve
    message = "this Python supports none of the curve_preferences: add CurveP256"
    raise SettingsError(f"{settings.where}: {message}")


def _choose_ciphers(context: ssl.SSLContext, settings: TlsSettings) -> None:
    ciphers = settings.ciphers
    if settings.min_version < ssl.TLSVersion.TLSv1_2:
        # OpenSSL offers TLS 1.0 and 1.1 only at security level 0. They need suites that are not
        # among the defaults of Python, but among those of Go.
        ciphers = ("@SECLEVEL=0", *(ciphers or filter(None, CIPHERS.values())))
    if ciphers:
        try:
            context.set_ciphers(":".join(ciphers))
        except ssl.SSLError:
            message = "this OpenSSL supports none of the cipher_suites"
            raise SettingsError(f"{settings.where}: {message}") from None


def _load_certificate(context: ssl.SSLContext, certificate: Pem, key: Pem) -> None:
    def no_password() -> str:
        # Without this function OpenSSL would ask for the password at the terminal.
        raise key.error(f"{key.key} is encrypted: write it without a password")

    chain = _read(certificate, b"CERTIFICATE-----", "certificate")
    private = _read(key, b"PRIVATE KEY-----", "key")
    with _file(certificate, chain) as chain_path, _file(key, private) as private_path:
        try:
            context.load_cert_chain(chain_path, private_path, no_password)
        except ssl.SSLError as error:
            invalid = key if error.reason or _is_readable(chain_path) else certificate
            raise invalid.error(f"failed to load X509KeyPair: {_reason(error)}") from None


def _is_readable(chain_path: str) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(chain_path)
    except ssl.SSLError:
        return False
    return True


def _read(pem: Pem, marker: bytes, name: str) -> bytes:
    data = pem.read()
    if marker not in data:
        problem = f"failed to find any PEM data in {name} input"
        raise pem.error(f"failed to load X509KeyPair: {problem}")
    return data


def _verify_clients(context: ssl.SSLContext, settings: TlsSettings) -> None:
    if settings.client_ca is None:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    else:
        with _file(settings.client_ca, settings.client_ca.read()) as path:
            try:
                context.load_verify_locations(path)
            except ssl.SSLError as error:
                raise settings.client_ca.error(
                    f"failed to load client CA's: {_reason(error)}"
                ) from None
    # As in Go, each of these certificates is trusted, also one that is not a root.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_mode = settings.client_auth


_REASONS = {
    "KEY_VALUES_MISMATCH": "private key does not match public key",
    "NO_CERTIFICATE_OR_CRL_FOUND": "it contains no certificate",
}


def _reason(error: ssl.SSLError) -> str:
    if not error.reason:  # an error of the parser has no reason
        return "the PEM data is damaged"
    return _REASONS.get(error.reason, error.reason.lower().replace("_", " "))


@contextmanager
def _file(pem: Pem, data: bytes) -> Iterator[str]:
    """Yield the path of a file with this content, because Python's ssl loads only files.

    So ssl loads exactly the data that was checked, inline data included. Raises SettingsError.
    """
    if sys.platform == "linux" and os.path.isdir("/proc/self/fd"):
        # In memory, so that no key is written to a disk and no folder has to be writable.
        descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
        try:
            path = f"/proc/self/fd/{descriptor}"
            try:
                with open(descriptor, "wb", closefd=False) as file:
                    file.write(data)
            except OSError as error:
                if error.errno != errno.EFBIG or not pem.path:
                    limit = "a file limit (RLIMIT_FSIZE, LimitFSIZE= in a unit) is too small"
                    raise pem.error(f"failed to load {pem.key}: {limit}") from None
                path = pem.path  # not inline: it can be loaded from its own file
            yield path
        finally:
            os.close(descriptor)
    else:
        with tempfile.TemporaryDirectory() as folder:  # readable for this user only
            copy = Path(folder, "pem")
            copy.write_bytes(data)
            yield str(copy)


def alternative_names(certificate: Mapping[str, Any]) -> set[str]:
    """Return DNS names, e-mail addresses, IP addresses and URIs of `SSLObject.getpeercert`."""
    names = set()
    for kind, value in certificate.get("subjectAltName", ()):
        if kind in ("DNS", "email", "URI"):
            names.add(value)
        elif kind == "IP Address":
            names.add(_address(value.strip()))
    return names


def _address(text: str) -> str:
    """Format an address as Go does; OpenSSL does not shorten IPv6 addresses."""
    # An address of three bytes, for example, is none.
    return str(parse_address(text) or text)
