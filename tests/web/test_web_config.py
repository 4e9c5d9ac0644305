"""What a web configuration file may say: a table of files, judged by promtool as well."""

import json
import os
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import certificates
from support.agent import PROJECT
from support.prometheus import needed
from support.verdict import fails_in_one_line_or_not

from exporter.errors import SettingsError
from exporter.settings.units import parse_go_duration
from exporter.web.configuration import RateLimit
from exporter.web.configuration_reader import read_web_configuration
from exporter.web.live_configuration import check_web_configuration

DATA = Path(__file__).parent / "data" / "web_config"
FILES = sorted(path.name for path in DATA.glob("*.yml"))

#: Where promtool, which is the exporter-toolkit, judges differently, and why we do not agree.
DIFFERENCES = {
    # YAML that this program takes nowhere.
    "anchor.bad.yml": "ten lines of aliases can become a gigabyte",
    "tag.bad.yml": "a tag changes what a text means",
    "two_documents.bad.yml": "all but the first would be ignored",
    # It does not see the difference, and there is only one thing that can be meant.
    "bool_quoted.good.yml": "a scalar is its text, quoted or not",
    "rate_burst_quoted.good.yml": "a scalar is its text, quoted or not",
    # What Go makes of it is not what was meant.
    "rate_burst_fraction.bad.yml": "Go cuts it to 1",
    "rate_burst_hexadecimal.bad.yml": "numbers are decimal",
    "rate_without_unit.bad.yml": "Go takes it for nanoseconds, which is no limit at all",
    "rate_negative.bad.yml": "Go takes it for no limit at all",
    "rate_without_burst.bad.yml": "every request would be answered 429",
    "cipher_null.bad.yml": "Go has a cipher without a name",
    "versions_cross.bad.yml": "no client could connect",
    "versions_and_ciphers_cross.bad.yml": "no client could connect",
    # No password would fit.
    "user_hash_too_long.bad.yml": "no password has such a hash",
    "user_hash_version.bad.yml": "there is no such version",
    "user_hash_characters.bad.yml": "no password has such a hash",
    # No client would be let in.
    "client_ca_without_certificate.bad.yml": "nobody could be verified",
    "client_ca_damaged.bad.yml": "Go skips what is damaged: nobody could be verified",
    # The toolkit judges the same since after promtool 3.5.
    "sans_optional.bad.yml": "a client without a certificate has no name to compare",
    "sans_without_client_auth.bad.yml": "nobody would be asked for a certificate",
    # Python's ssl cannot do it, and anything else would be weaker or stricter than asked for.
    "client_auth_request.bad.yml": "Python's ssl verifies every certificate it asks for",
    "client_auth_require_any.bad.yml": "Python's ssl verifies every certificate it asks for",
    "client_auth_require.bad.yml": "Python's ssl verifies every certificate it asks for",
    # A browser would not see it as it was written.
    "header_not_ascii.bad.yml": "headers are ASCII (RFC 9110, 5.5)",
    "header_control_character.bad.yml": "forbidden in headers (RFC 9110, 5.5)",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the table, with the certificates that they name beside them."""
    folder = tmp_path_factory.mktemp("web_config")
    certificates.write_all(folder)
    for name in FILES:
        text = (DATA / name).read_text(encoding="utf-8")
        for pem in ("server.pem", "server.key", "ca.pem"):
            text = text.replace(f'"@{pem}"', json.dumps((folder / pem).read_text()))
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")  # old ones, which are in the table
@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".good.yml")])
def test_a_good_file_is_accepted(name: str, folder: Path) -> None:
    """A good file is read, with its certificates."""
    check_web_configuration(str(folder / name))


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".bad.yml")])
def test_a_bad_file_is_refused(name: str, folder: Path) -> None:
    """A bad file gives the error that its first line holds, to the letter, and in one line."""
    path = folder / name
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    expected = first.removeprefix("# ").replace("FOLDER/", f"{folder}{os.sep}")
    expected = expected.replace("FILE", str(path))
    with pytest.raises(SettingsError) as raised:
        check_web_configuration(str(path))
    assert str(raised.value) == expected


@pytest.mark.parametrize("name", FILES)
def test_promtool_judges_the_same(name: str, folder: Path) -> None:
    """``promtool check web-config`` accepts and refuses the same, but for the differences."""
    command = [needed("promtool-3", "promtool"), "check", "web-config", folder / name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    agreed = (done.returncode == 0) is name.endswith(".good.yml")
    assert agreed is (name not in DIFFERENCES), done.stdout + done.stderr


def test_every_difference_is_in_the_table() -> None:
    """No reason is given for a file that is not there."""
    assert set(FILES) >= DIFFERENCES.keys()


def test_everything_that_a_file_says_is_understood(folder: Path) -> None:
    """The file that says everything gives every value, and paths beside itself."""
    configuration = read_web_configuration(str(folder / "full.good.yml"))
    tls = configuration.tls
    assert tls is not None
    assert tls.files == tuple(str(folder / f"{x}") for x in ("server.pem", "server.key", "ca.pem"))
    assert tls.client_auth is ssl.CERT_REQUIRED
    assert tls.allowed_sans == {"scraper.example", "127.0.0.1", "::1"}
    assert (tls.min_version, tls.max_version) == (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
    assert tls.ciphers == ("ECDHE-ECDSA-AES128-GCM-SHA256",)
    assert tls.curves == ("prime256v1",)
    assert not tls.prefer_server_ciphers
    assert dict(configuration.headers) == {
        "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "sameorigin",
        "X-XSS-Protection": "1",
        "Content-Security-Policy": "default-src 'self'",
    }
    assert configuration.users.keys() == {b"alice", "böb".encode()}
    assert configuration.rate_limit == RateLimit(90.0, 20)


@pytest.mark.parametrize(
    "name", ["empty", "braces", "null", "sections_without_values", "keys_without_values",
             "off_by_min_version_alone", "off_by_sans_alone", "tls_client_auth_type_empty"]
)  # fmt: skip
def test_a_file_may_ask_for_nothing(name: str, folder: Path) -> None:
    """Without a certificate, key, authority or client policy TLS is off, and nobody is refused."""
    configuration = read_web_configuration(str(folder / f"{name}.good.yml"))
    assert (
        configuration.tls,
        configuration.headers,
        configuration.users,
        configuration.rate_limit,
    ) == (None, (), {}, None)


def test_a_header_is_one_line_and_absent_when_blank(folder: Path) -> None:
    """The lines of a value become one; a header without a value is not sent."""
    configuration = read_web_configuration(str(folder / "header_lines.good.yml"))
    assert configuration.headers == (("Content-Security-Policy", "default-src 'self'; img-src *"),)


def test_secrets_are_in_no_representation(folder: Path) -> None:
    """What is logged or shown by a debugger holds neither hashes nor keys."""
    inline, users = (
        repr(read_web_configuration(str(folder / f"{name}.good.yml")))
        for name in ("tls_inline", "full")
    )
    assert "PRIVATE KEY" not in inline
    assert "$2y$" not in users


_SCALARS = st.sampled_from(
    ["", "~", "true", "1", "-1s", "10s", "server.pem", "TLS12", "X25519", "deny", "''", "[[]]",
     "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi", '"\\0"', "{}", "[~]"]
)  # fmt: skip
_KEYS = st.sampled_from(
    ["tls_server_config", "http_server_config", "basic_auth_users", "rate_limit", "cert_file",
     "key", "client_ca", "client_auth_type", "client_allowed_sans", "cipher_suites",
     "curve_preferences", "min_version", "http2", "headers", "X-Frame-Options", "interval",
     "burst", "''"]
)  # fmt: skip
_TREES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(_KEYS, inner, max_size=4).map(
            lambda items: "{" + ", ".join(f"{key}: {value}" for key, value in items.items()) + "}"
        )
    ),
    max_leaves=12,
)


@given(tree=_TREES)
def test_any_tree_is_accepted_or_refused_in_one_line(
    tree: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No shape of file fails in another way than with one line that begins with its name."""
    fails_in_one_line_or_not(
        check_web_configuration, tmp_path_factory.getbasetemp() / "any.yml", tree
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0.0), ("-0", 0.0), ("+1s", 1.0), ("1h15m30.918s", 4530.918), ("1.s", 1.0),
     ("500ms", 0.5), ("-1.5h", -5400.0), ("1us1µs1μs1ns", 3.001e-6)],
)  # fmt: skip
def test_durations_are_go_s(text: str, seconds: float) -> None:
    """Units in any order, fractions and signs: all that time.ParseDuration takes."""
    assert parse_go_duration(text) == pytest.approx(seconds, abs=1e-12)


@pytest.mark.parametrize("text", ["", "1", "s", ".s", "1 s", "1d", "--1s", "1s-", "1e3s", "٣s"])
def test_what_go_does_not_take_is_no_duration(text: str) -> None:
    """Everything else is refused with what would be right."""
    with pytest.raises(ValueError, match="write for example 500ms, 10s or 1m30s"):
        parse_go_duration(text)


NO_FILES = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
from exporter.cli import main
sys.exit(main(["check-config", sys.argv[1]]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no RLIMIT_FSIZE")
def test_a_process_that_may_write_no_file_can_serve_tls(tmp_path: Path) -> None:
    """LimitFSIZE=0 counts files in memory too: certificates are loaded from their own files.

    Inline ones have none, and the error names the limit.
    """
    certificates.write_all(tmp_path)
    from_files = tmp_path / "files.yml"
    from_files.write_text("tls_server_config: {cert_file: server.pem, key_file: server.key}\n")
    inline = tmp_path / "inline.yml"
    parts = {"cert": "server.pem", "key": "server.key"}
    texts = {key: (tmp_path / name).read_text() for key, name in parts.items()}
    inline.write_text(json.dumps({"tls_server_config": texts}))
    results = {
        path.stem: subprocess.run(
            [sys.executable, "-c", NO_FILES, path],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
        )
        for path in (from_files, inline)
    }
    assert results["files"].returncode == 0, results["files"].stderr
    assert results["inline"].returncode == 1
    assert "RLIMIT_FSIZE" in results["inline"].stderr
