"""YAML without surprises."""

import os
import socket
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import SettingsError
from exporter.settings.files import MAX_BYTES
from exporter.settings.strict_yaml import MAX_DEPTH, MAX_NODES, Node, parse_yaml, read_yaml


def plain(node: Node) -> object:
    """A tree as plain values."""
    match node.value:
        case dict():
            return {key: plain(child) for key, child in node.value.items()}
        case list():
            return [plain(child) for child in node.value]
        case _:
            return node.value


def load(text: str) -> object:
    """What a text means, as plain values."""
    return plain(parse_yaml(text.encode(), "f.yml"))


@pytest.mark.parametrize(
    "text",
    [
        "yes",
        "No",
        "on",
        "true",
        "1",
        "010",
        "0x1f",
        "1_000",
        "1:30",
        "1.5",
        "1e3",
        ".inf",
        ".nan",
        "2026-01-02",
        "2026-01-02T03:04:05Z",
        "=",
        "<<",
        "nul",
        "'~'",
        '""',
    ],
)
def test_a_scalar_is_the_text_that_was_written(text: str) -> None:
    """Nothing that looks like a boolean, number or date becomes one."""
    assert load(f"key: {text}") == {"key": text.strip("'\"")}


@pytest.mark.parametrize("text", ["", "~", "null", "Null", "NULL", "# comment"])
def test_nothing_is_none(text: str) -> None:
    """An empty or null value is None, and a quoted empty text is not."""
    assert load(f"key: {text}") == {"key": None}
    assert load(text) is None


def test_keys_are_text_too() -> None:
    """A key that plain YAML would convert is the text that was written."""
    assert load("{yes: a, 1: b, null: c, 1.0: d}") == {
        "yes": "a",
        "1": "b",
        "null": "c",
        "1.0": "d",
    }


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a: 1\nb:\n  c: 1\n  'c': 2\n", "f.yml:4: b.c: is given twice: remove one of them"),
        ("a: 1\nb: {1: x, '1': y}", "f.yml:2: b.1: is given twice: remove one of them"),
        ("a: &x 1\nb: 2", "f.yml:1: anchors and aliases are not allowed: write the value again"),
        ("a: 1\nb: *x", "f.yml:2: anchors and aliases are not allowed: write the value again"),
        ("a: !!int 1", 'f.yml:1: the tag "tag:yaml.org,2002:int" is not allowed: quote the value'),
        ("a: !own 1", 'f.yml:1: the tag "!own" is not allowed: quote the value'),
        ("\n? {a: b}\n: c", "f.yml:2: a key must be plain text"),
        ("a: 1\n---\nb: 1", "f.yml:2: is not valid YAML: expected a single document"),
        ("a: 1\n b: 1", "f.yml:2: is not valid YAML: mapping values are not allowed here"),
        ("a: 'b\n", "f.yml:2: is not valid YAML: while scanning a quoted scalar"),
        ("a: 1\nb: \x00", "f.yml:2: U+0000 is not allowed in YAML"),
        ('a: "\\UFFFFFFFF"', "f.yml: is not valid YAML: a number in it is out of range"),
        ("%YAML 1." + "1" * 5000, "f.yml: is not valid YAML: a number in it is out of range"),
        ('a:\n- "\\uDC00"', "f.yml:2: a[0]: contains half of a UTF-16 surrogate pair"),
        ('"\\uDC00": a', "f.yml:1: a key must be plain text"),
        ("[" * 100_000, f"f.yml:1: is nested more than {MAX_DEPTH} levels deep"),
        ("- " * 100_000, f"f.yml:1: is nested more than {MAX_DEPTH} levels deep"),
    ],
)
def test_what_is_refused(text: str, error: str) -> None:
    """Each kind of wrong file is an error with file and line, and with the key where it has one."""
    with pytest.raises(SettingsError) as raised:
        load(text)
    assert str(raised.value).startswith(error)


def test_a_billion_laughs_are_not_heard() -> None:
    """A file of aliases of aliases is refused at its first anchor, at once."""
    lines = ["a0: &a0 [lol, lol]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    with pytest.raises(SettingsError, match=r"^f\.yml:1: anchors and aliases are not allowed"):
        load("\n".join(lines))


def test_a_large_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    """Up to the limit a file is read; a byte more, and also an endless one, is an error."""
    path = tmp_path / "large.yml"
    path.write_bytes(b"#" * MAX_BYTES)
    assert read_yaml(str(path)).value is None
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(SettingsError, match=r"large\.yml: cannot be read: larger than 1 MiB$"):
        read_yaml(str(path))


@pytest.mark.parametrize(
    "text",
    ["- \n", "- a\n", "[" + "a," * 20, "{" + ",".join(f"k{i}:" for i in range(9)) + "}\n", "? a\n"],
    ids=["empty", "list", "flow list", "flow mapping", "keys"],
)
def test_a_file_of_many_values_is_refused_early(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However short the values are, the parser stops at the limit of their number."""
    tokens = 0
    fetch = yaml.SafeLoader.fetch_more_tokens

    def count(loader: yaml.SafeLoader) -> object:
        nonlocal tokens
        tokens += 1
        return fetch(loader)

    monkeypatch.setattr(yaml.SafeLoader, "fetch_more_tokens", count)
    lines = text * (MAX_BYTES // len(text))
    with pytest.raises(SettingsError, match=r"^f\.yml:\d+: "):
        parse_yaml(lines.encode(), "f.yml")
    assert tokens < 8 * MAX_NODES


def test_as_many_users_as_fit_are_read() -> None:
    """The limit of the number of values leaves room for 15,000 users."""
    users = "".join(f"u{number:05}: {'x' * 60}\n" for number in range(15_000))
    assert len(parse_yaml(users.encode(), "f.yml").mapping()) == 15_000


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no FIFO in its file system")
def test_only_a_regular_file_is_read(tmp_path: Path) -> None:
    """A FIFO that nobody writes to, a device and a socket are errors at once."""
    fifo, sock = tmp_path / "fifo", tmp_path / "socket"
    os.mkfifo(fifo)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(sock))
        for path in (str(fifo), str(sock), "/dev/zero", "/dev/tty"):
            with pytest.raises(SettingsError, match=r"cannot be read: not a regular file$"):
                read_yaml(path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no FIFO in its file system")
def test_a_file_that_becomes_a_fifo_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A FIFO that takes the place of the file between the look and the open is an error."""
    fifo, regular = tmp_path / "fifo", tmp_path / "regular"
    os.mkfifo(fifo)
    regular.touch()
    status = os.stat(regular)
    monkeypatch.setattr(os, "stat", lambda _: status)
    with pytest.raises(SettingsError, match=r"cannot be read: not a regular file$"):
        read_yaml(str(fifo))


@pytest.mark.parametrize(
    ("path", "reason"),
    [("missing.yml", "No such file"), (".", ""), ("a\0b", "embedded null"), ("x" * 5000, "")],
)
def test_what_cannot_be_read_is_an_error(path: str, reason: str) -> None:
    """Every reason for which a file cannot be read is one line that begins with its name."""
    with pytest.raises(SettingsError, match=f"cannot be read: .*{reason}") as raised:
        read_yaml(path)
    assert str(raised.value).isprintable()


def test_a_node_says_where_it_is_wrong() -> None:
    """Asking a value for what it is not is an error that begins with file, line and key."""
    node = parse_yaml(b"a: 1\nb:\n- x\nc:\nd:\n  e: f", "f.yml").mapping()
    assert node["a"].text() == "1"
    assert node["c"].mapping() == {}
    assert node["c"].sequence() == []
    for ask, error in (
        (node["a"].mapping, "f.yml:1: a: must be a mapping"),
        (node["a"].sequence, "f.yml:1: a: must be a list"),
        (node["b"].text, "f.yml:2: b: must be one value"),
        (node["c"].text, "f.yml:4: c: has no value"),
        (lambda: node["d"].mapping(["ee"]), "f.yml:6: d.e: unknown key: did you mean ee?"),
    ):
        with pytest.raises(SettingsError, match=f"^{error}"):
            ask()


_PIECES = st.sampled_from(
    [
        "  ",
        ": ",
        "- ",
        "? ",
        "&a ",
        "!x ",
        "%YAML 1.1\n",
        "\n",
        "\t",
        "\r",
        "\x85",
        *[
            "a",
            "1",
            "~",
            "<<",
            "{",
            "}",
            "[",
            "]",
            ",",
            "*a",
            "|",
            ">",
            "'",
            '"',
            "---",
            "...",
            "\\",
            "\\U",
            "\\ud8",
        ],
    ]
)


@given(st.binary() | st.text().map(str.encode) | st.lists(_PIECES).map("".join).map(str.encode))
def test_any_bytes_give_a_tree_or_a_settings_error(data: bytes) -> None:
    """No content makes the loader fail in another way, or say more than one line."""
    message = "f.yml"
    try:
        parse_yaml(data, "f.yml")
    except SettingsError as error:
        message = str(error)
    assert message.startswith("f.yml")
    assert message.isprintable()
