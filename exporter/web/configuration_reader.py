"""Reads the web configuration file, whose format all Prometheus exporters share.

Keys, validation and error messages are those of Prometheus' exporter-toolkit. This reader is
stricter about values that cannot work, or are not supported here; the table in
tests/web/test_web_config.py lists the differences.

Source: https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import TypeVar

from exporter.errors import SettingsError, cited
from exporter.settings.strict_yaml import Node, read_yaml
from exporter.settings.units import parse_go_duration
from exporter.web import tls_names
from exporter.web.configuration import Pem, RateLimit, TlsSettings, WebConfiguration

T = TypeVar("T")

#: The top level of the file.
KEYS = ("tls_server_config", "http_server_config", "basic_auth_users", "rate_limit")

_FILES = ("cert", "key", "client_ca")
_TLS_KEYS = (
    *_FILES,
    *(f"{name}_file" for name in _FILES),
    "client_auth_type",
    "client_allowed_sans",
    "min_version",
    "max_version",
    "cipher_suites",
    "prefer_server_cipher_suites",
    "curve_preferences",
)
#: Up to this number of valid values, an error lists all of them.
_MAX_LISTED = 5
#: Any of these turns TLS on.
_TLS_SWITCHES = (*_FILES, *(f"{name}_file" for name in _FILES), "client_auth_type")

#: Headers that can be configured, with their valid values; empty: any value.
_HEADERS: Mapping[str, tuple[str, ...]] = {
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
    "Content-Security-Policy": (),
}

# The booleans of YAML 1.1, in lower case, upper case, or capitalized.
_TRUE, _FALSE = ("true", "yes", "on", "y"), ("false", "no", "off", "n")

# Version, cost, and 22 + 31 characters of salt and digest. Four bits of the last character of
# the salt are unused and must be zero, or bcrypt refuses the hash.
_BCRYPT = re.compile(r"\$2[abxy]\$([0-9]{2})\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
_BCRYPT_LENGTH = 60
_BCRYPT_COSTS = range(4, 32)


def read_web_configuration(path: str) -> WebConfiguration:
    """Read a file, but not the files that it names. Raises SettingsError."""
    root = read_yaml(path)
    sections = root.mapping(KEYS)
    http = _Section(sections.get("http_server_config"), ("http2", "headers"))
    http.switch("http2", default=True)  # accepted, but HTTP/2 is not supported
    return WebConfiguration(
        empty=root.value is None,
        # Paths are relative to the folder of the file.
        tls=_tls(_Section(sections.get("tls_server_config"), _TLS_KEYS), os.path.dirname(path)),
        headers=_headers(http.values.get("headers")),
        users=_users(sections.get("basic_auth_users")),
        rate_limit=_rate_limit(_Section(sections.get("rate_limit"), ("interval", "burst"))),
    )


class _Section:
    """A mapping. A key without a value counts as absent, as in Go."""

    def __init__(self, node: Node | None, keys: Collection[str]) -> None:
        self.where = node.where if node else ""
        nodes = node.mapping(keys) if node else {}
        self.values = {key: value for key, value in nodes.items() if value.value is not None}

    def text(self, key: str, default: str = "") -> str:
        return self.values[key].text() if key in self.values else default

    def choice(self, key: str, default: str, values: Mapping[str, T], problem: str) -> T:
        text = self.text(key, default)
        if text not in values:
            raise self.values[key].error(_unknown(problem, text, values))
        return values[text]

    def choices(self, key: str, values: Mapping[str, T], problem: str) -> list[T]:
        choices = []
        for item in self.values[key].sequence() if key in self.values else ():
            text = _text(item)
            if text not in values:
                raise item.error(_unknown(problem, text, values))
            choices.append(values[text])
        return choices

    def switch(self, key: str, *, default: bool) -> bool:
        if key not in self.values:
            return default
        text = self.text(key)
        word = text.lower()
        if word not in _TRUE + _FALSE or text not in (word, word.upper(), word.capitalize()):
            raise self.values[key].error(f"{cited(text)}: must be true or false")
        return word in _TRUE


def _text(node: Node) -> str:
    return "" if node.value is None else node.text()


def _unknown(problem: str, text: str, values: Collection[str]) -> str:
    names = [value for value in values if value]
    close = get_close_matches(text, names, 1)
    if close or len(names) > _MAX_LISTED:
        advice = f"did you mean {close[0]}?" if close else f"write for example {names[0]}"
    else:
        advice = f"expected one of {', '.join(names)}"
    return f"{problem}: {cited(text)[1:-1]}: {advice}"


# -- TLS ---------------------------------------------------------------------------------


def _tls(section: _Section, folder: str) -> TlsSettings | None:
    pems = {name: _pem(section, name, folder) for name in _FILES}
    ciphers = section.choices("cipher_suites", tls_names.CIPHERS, "unknown cipher")
    lowest = section.choice("min_version", "TLS12", tls_names.VERSIONS, "unknown TLS version")
    highest = section.choice("max_version", "TLS13", tls_names.VERSIONS, "unknown TLS version")
    curves = section.choices("curve_preferences", tls_names.CURVES, "unknown curve")
    prefer_server_ciphers = section.switch("prefer_server_cipher_suites", default=True)
    sans = section.values.get("client_allowed_sans")
    allowed_sans = frozenset(map(_text, sans.sequence())) if sans else None
    if not any(section.text(key) for key in _TLS_SWITCHES):
        return None

    for name in ("cert", "key"):
        if pems[name] is None:
            raise SettingsError(f"{section.where}: missing one of {name} or {name}_file")
    client_auth = _client_auth(section)
    if pems["client_ca"] and not client_auth:
        raise pems["client_ca"].error(
            "client CA's have been configured without a Client Auth Policy: "
            "add client_auth_type: RequireAndVerifyClientCert"
        )
    if sans and client_auth != ssl.CERT_REQUIRED:
        raise sans.error("client_allowed_sans requires client_auth_type RequireAndVerifyClientCert")
    if ciphers and not any(ciphers):  # only suites of TLS 1.3, so no older version is left
        lowest = max(lowest, ssl.TLSVersion.TLSv1_3)
    if lowest > highest:
        names = {version: name for name, version in tls_names.VERSIONS.items()}
        raise SettingsError(
            f"{section.where}: no client could connect: the lowest TLS version allowed is "
            f"{names[lowest]}, the highest {names[highest]}"
        )
    assert pems["cert"]
    assert pems["key"]
    return TlsSettings(
        section.where,
        pems["cert"],
        pems["key"],
        pems["client_ca"],
        client_auth,
        allowed_sans,
        lowest,
        highest,
        tuple(filter(None, ciphers)),
        tuple(curves),
        prefer_server_ciphers,
    )


def _pem(section: _Section, key: str, folder: str) -> Pem | None:
    """Return the PEM data of a key; a file overrides inline data."""
    path, text = section.text(f"{key}_file"), section.text(key)
    if path:
        where = section.values[f"{key}_file"].where
        return Pem(key, where, os.path.join(folder, path), "")
    return Pem(key, section.values[key].where, "", text) if text else None


def _client_auth(section: _Section) -> ssl.VerifyMode:
    name = section.text("client_auth_type")
    if name in tls_names.UNVERIFIED_CLIENT_AUTH:
        raise section.values["client_auth_type"].error(
            f"{name} accepts unverified certificates, which is not supported here: "
            "use VerifyClientCertIfGiven or RequireAndVerifyClientCert"
        )
    return section.choice("client_auth_type", "", tls_names.CLIENT_AUTH, "invalid ClientAuth")


# -- everything else ---------------------------------------------------------------------


def _headers(node: Node | None) -> tuple[tuple[str, str], ...]:
    headers = []
    for name, child in (node.mapping() if node else {}).items():
        if name not in _HEADERS:
            raise child.error(
                f'HTTP header "{name}" can not be configured: only {", ".join(_HEADERS)}'
            )
        # As in Go, line breaks become spaces.
        value = re.sub(r"[\r\n]", " ", _text(child)).strip()
        allowed = _HEADERS[name]
        if allowed and value not in allowed:
            expected = " ".join(map(cited, allowed))
            raise child.error(
                f"invalid value for {name}. Expected one of: [{expected}], but got: {cited(value)}"
            )
        if not (value.isascii() and value.isprintable()):
            raise child.error(f"invalid value for {name}. Expected printable ASCII text")
        if value:
            headers.append((name, value))
    return tuple(headers)


def _users(node: Node | None) -> dict[bytes, bytes]:
    """Read the users. Errors do not show an invalid hash, which can be the password."""
    users = {}
    for name, child in (node.mapping() if node else {}).items():
        text = _text(child)
        if len(text) < _BCRYPT_LENGTH:
            raise child.error(
                "hashedSecret too short to be a bcrypted password: "
                "make one with htpasswd -nBC 10 USER"
            )
        match = _BCRYPT.fullmatch(text)
        if not match:
            raise child.error("is not a bcrypt hash: make one with htpasswd -nBC 10 USER")
        if int(match[1]) not in _BCRYPT_COSTS:
            raise child.error(f"cost {int(match[1])} is outside allowed inclusive range 4..31")
        users[name.encode()] = text.encode()
    return users


def _rate_limit(section: _Section) -> RateLimit | None:
    interval, burst = 0.0, 0
    if "interval" in section.values:
        try:
            interval = parse_go_duration(section.text("interval"))
        except ValueError as error:
            raise section.values["interval"].error(str(error)) from None
    if "burst" in section.values:
        text = section.text("burst")
        if not re.fullmatch("-?[0-9]{1,9}", text):
            raise section.values["burst"].error(f"{cited(text)} is not a whole number")
        burst = int(text)
    if interval < 0:
        raise section.values["interval"].error("must not be negative: 0 means no limit")
    if interval and burst < 1:
        raise SettingsError(
            f"{section.where}: no request would be answered: burst must be 1 or more"
        )
    return RateLimit(interval, burst) if interval else None
