"""TLS contexts of Python's ssl, from what a web configuration asks for."""

from __future__ import annotations

import ipaddress
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
from exporter.web.configuration import Pem, TlsSettings
from exporter.web.go_names import CIPHERS


@dataclass(frozen=True, slots=True)
class Tls:
    """How connections are secured, from now on."""

    context: ssl.SSLContext
    #: The alternative names, one of which a client's certificate must have; ``None``: any.
    allowed_sans: frozenset[str] | None = None
    #: The one that is used of those that were asked for, as OpenSSL calls it; empty: any.
    curve: str = ""


def build_tls(settings: TlsSettings) -> Tls:
    """Read certificates and keys, and make of them what secures connections.

    Raises SettingsError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = settings.max_version
    context.minimum_version = settings.min_version
    context.set_alpn_protocols(["http/1.1"])
    # Nobody needs it any more, and it lets a client make us work without end.
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
    """The first that can be had. Python takes only one; the others are then refused."""
    for curve in settings.curves:
        with suppress(ssl.SSLError, ValueError):  # X25519, say: CPython 3.11.2 cannot
            context.set_ecdh_curve(curve)
            return curve
    message = "this computer's Python can use none of the curve_preferences: add CurveP256"
    raise SettingsError(f"{settings.where}: {message}")


def _choose_ciphers(context: ssl.SSLContext, settings: TlsSettings) -> None:
    ciphers = settings.ciphers
    if settings.min_version < ssl.TLSVersion.TLSv1_2:
        # Who asks for TLS 1.0 or 1.1 gets it: OpenSSL offers these only at security level 0, and
        # they need suites that are not among Python's default ones, but are among Go's.
        ciphers = ("@SECLEVEL=0", *(ciphers or filter(None, CIPHERS.values())))
    if ciphers:
        try:
            context.set_ciphers(":".join(ciphers))
        except ssl.SSLError:
            message = "this computer's OpenSSL has none of the cipher_suites"
            raise SettingsError(f"{settings.where}: {message}") from None


def _load_certificate(context: ssl.SSLContext, certificate: Pem, key: Pem) -> None:
    def no_password() -> str:
        # Without this function OpenSSL would ask whoever sits at the terminal.
        raise key.error(f"{key.key} is encrypted: write it without a password")

    chain = _read(certificate, b"CERTIFICATE-----", "certificate")
    private = _read(key, b"PRIVATE KEY-----", "key")
    with _file(chain) as chain_path, _file(private) as private_path:
        try:
            context.load_cert_chain(chain_path, private_path, no_password)
        except ssl.SSLError as error:
            culprit = key if error.reason or _is_readable(chain_path) else certificate
            raise culprit.error(f"failed to load X509KeyPair: {_reason(error)}") from None


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
        with _file(settings.client_ca.read()) as path:
            try:
                context.load_verify_locations(path)
            except ssl.SSLError as error:
                raise settings.client_ca.error(
                    f"failed to load client CA's: {_reason(error)}"
                ) from None
    # Each certificate given is trusted, also one that is not a root: Go sees it so.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_mode = settings.client_auth


_REASONS = {
    "KEY_VALUES_MISMATCH": "private key does not match public key",
    "NO_CERTIFICATE_OR_CRL_FOUND": "there is no certificate in it",
}


def _reason(error: ssl.SSLError) -> str:
    if not error.reason:  # its parser says no more than that
        return "the PEM data is damaged"
    return _REASONS.get(error.reason, error.reason.lower().replace("_", " "))


@contextmanager
def _file(data: bytes) -> Iterator[str]:
    """The path of a file with this content: Python's ssl reads certificates from files only.

    What it reads is then what was checked, and what stands in the configuration goes the same
    way as what stands in a file.
    """
    if sys.platform == "linux" and os.path.isdir("/proc/self/fd"):
        # Memory, not a disk: a key leaves no trace, and no folder has to be writable.
        descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
        try:
            with open(descriptor, "wb", closefd=False) as file:
                file.write(data)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        with tempfile.TemporaryDirectory() as folder:  # for this user's eyes only
            path = Path(folder, "pem")
            path.write_bytes(data)
            yield str(path)


def alternative_names(certificate: Mapping[str, Any]) -> set[str]:
    """DNS names, e-mail addresses, IP addresses and URIs of `SSLObject.getpeercert`'s answer."""
    names = set()
    for kind, value in certificate.get("subjectAltName", ()):
        if kind in ("DNS", "email", "URI"):
            names.add(value)
        elif kind == "IP Address":
            names.add(_address(value.strip()))
    return names


def _address(text: str) -> str:
    """An address as Go writes it: OpenSSL does not shorten IPv6."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:  # an address of three bytes, say
        return text
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
