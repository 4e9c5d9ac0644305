"""What a web configuration file says, as plain values; see `configuration_reader`."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Pem:
    """Certificates or a key: in a file, or in the configuration itself."""

    #: What the configuration calls it, without ``_file``.
    key: str
    where: str
    #: Empty: the text counts.
    path: str
    text: str = field(repr=False)

    def read(self) -> bytes:
        """Its content. Raises SettingsError."""
        if not self.path:
            return self.text.encode()
        try:
            with open(self.path, "rb") as file:
                return file.read()
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            reason = getattr(error, "strerror", None) or error
            raise self.error(f"failed to read {self.key}_file ({self.path}): {reason}") from None

    def error(self, message: str) -> SettingsError:
        """An error about it, to raise."""
        return SettingsError(f"{self.where}: {message}")


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """The section ``tls_server_config``, where it turns TLS on."""

    where: str
    certificate: Pem
    key: Pem
    #: ``None``: the system's own authorities.
    client_ca: Pem | None
    client_auth: ssl.VerifyMode
    #: ``None``: any client certificate that is valid.
    allowed_sans: frozenset[str] | None
    min_version: ssl.TLSVersion
    max_version: ssl.TLSVersion
    #: OpenSSL's names, for TLS up to 1.2; empty: the default ones.
    ciphers: tuple[str, ...]
    #: OpenSSL's names, the preferred first; empty: the default ones.
    curves: tuple[str, ...]
    prefer_server_ciphers: bool

    @property
    def files(self) -> tuple[str, ...]:
        """The paths of certificates and keys."""
        pems = (self.certificate, self.key, self.client_ca)
        return tuple(pem.path for pem in pems if pem and pem.path)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How many requests are answered: one each interval, and a burst of them at once."""

    interval_seconds: float
    burst: int


@dataclass(frozen=True, slots=True)
class WebConfiguration:
    """The whole file."""

    #: It holds nothing, not even ``{}``.
    empty: bool
    #: ``None``: plain HTTP.
    tls: TlsSettings | None
    #: Names and values that every response carries.
    headers: tuple[tuple[str, str], ...]
    #: Bcrypt hash by user, as bytes. Without any, everybody is let in.
    users: Mapping[bytes, bytes] = field(repr=False)
    rate_limit: RateLimit | None
