"""The content of a web configuration file as plain values."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.errors import SettingsError
from exporter.settings.files import MAX_PEM_BYTES, read_file


@dataclass(frozen=True, slots=True)
class Pem:
    """Certificates or a key, in a file of their own or inline."""

    #: Its key in the configuration, without ``_file``.
    key: str
    #: The place in the configuration, for error messages.
    where: str
    #: Empty: `text` is used.
    path: str
    text: str = field(repr=False)

    def read(self) -> bytes:
        """Return the content. Raises SettingsError."""
        if not self.path:
            return self.text.encode()
        try:
            return read_file(self.path, MAX_PEM_BYTES)
        except OSError as error:
            reason = error.strerror or error
            raise self.error(f"failed to read {self.key}_file ({self.path}): {reason}") from None

    def error(self, message: str) -> SettingsError:
        """Make an error about it."""
        return SettingsError(f"{self.where}: {message}")


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """The section ``tls_server_config``, if it turns TLS on."""

    where: str
    certificate: Pem
    key: Pem
    #: ``None``: the authorities of the system.
    client_ca: Pem | None
    client_auth: ssl.VerifyMode
    #: ``None``: every valid client certificate is allowed.
    allowed_sans: frozenset[str] | None
    min_version: ssl.TLSVersion
    max_version: ssl.TLSVersion
    #: OpenSSL's names, for TLS up to 1.2; empty: the defaults.
    ciphers: tuple[str, ...]
    #: OpenSSL's names, the preferred one first; empty: the defaults.
    curves: tuple[str, ...]
    prefer_server_ciphers: bool

    @property
    def files(self) -> tuple[str, ...]:
        """The paths of certificates and keys."""
        pems = (self.certificate, self.key, self.client_ca)
        return tuple(pem.path for pem in pems if pem and pem.path)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A limit of one request each interval, and of `burst` requests at once."""

    interval_seconds: float
    burst: int


@dataclass(frozen=True, slots=True)
class WebConfiguration:
    """The whole file."""

    #: The file contains nothing, not even ``{}``.
    empty: bool
    #: ``None``: plain HTTP.
    tls: TlsSettings | None
    #: Names and values of the headers of every response.
    headers: tuple[tuple[str, str], ...]
    #: Bcrypt hash by user, as bytes. Empty: no authentication.
    users: Mapping[bytes, bytes] = field(repr=False)
    rate_limit: RateLimit | None
