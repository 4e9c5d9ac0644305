"""Log lines: one record is one line, and it reads back as what was logged."""

from __future__ import annotations

import io
import json
import logging
import re
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter import logs
from exporter.errors import escaped, quoted
from exporter.logs import JsonFormatter, LogfmtFormatter, event

log = logging.getLogger("exporter.test")

_PAIR = re.compile(r'([A-Za-z0-9_.-]+)=("(?:[^"\\]|\\.)*"|[^\s"=\\]+)(?: |$)')
#: Without halves of surrogate pairs: JSON joins two that meet.
TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ['a"b', "a\nlevel=error", "a=b", "\\", "\x1b[2J", "\u2028", "\u202e", "\x85", "\x9b", "ü", ""]
)


def parse(line: str) -> dict[str, str]:
    """The fields of a logfmt line; fails unless the whole line is made of them."""
    assert re.fullmatch(f"(?:{_PAIR.pattern})+", line), line
    pairs = _PAIR.findall(line)
    assert len({key for key, _ in pairs}) == len(pairs)
    return {key: json.loads(value) if value[0] == '"' else value for key, value in pairs}


def record(message: str, /, *arguments: object, **fields: object) -> logging.LogRecord:
    """A record as `event` makes it."""
    made = logging.LogRecord("exporter", logging.WARNING, "", 0, message, arguments, None)
    made.created = 1767323045.678
    made.fields = fields
    return made


def failed(error: BaseException, /, **fields: object) -> logging.LogRecord:
    """A record with an exception, as it looks in its handler."""
    made = record("Failed", **fields)
    try:
        raise error
    except type(error):
        made.exc_info = sys.exc_info()
    return made


def test_a_line_looks_as_documented() -> None:
    """Time in UTC with milliseconds, level, message, fields; quotes only where needed."""
    made = record("Listening on %s", "eth0", address="[::1]:10190", port=10190, up=True, of=None)
    expected = {"time": "2026-01-02T03:04:05.678Z", "level": "warn", "msg": "Listening on eth0"}
    assert LogfmtFormatter().format(made) == (
        'time=2026-01-02T03:04:05.678Z level=warn msg="Listening on eth0" '
        "address=[::1]:10190 port=10190 up=true of=null"
    )
    assert json.loads(JsonFormatter().format(made)) == {
        **expected,
        "address": "[::1]:10190",
        "port": 10190,
        "up": True,
        "of": None,
    }


@given(TEXTS, TEXTS, TEXTS)
def test_whatever_is_logged_reads_back_from_one_line(message: str, name: str, value: str) -> None:
    """Text of any kind, in message, key and value, stays in its field and cannot forge another."""
    made = record("%s", message, **{name: value, "last": "x"})
    line = LogfmtFormatter().format(made)
    assert line.isprintable()
    fields = parse(line)
    assert list(fields)[:3] == ["time", "level", "msg"]
    assert (fields["level"], fields["msg"]) == ("warn", message)
    assert value in fields.values()
    assert len(fields) == len({name, "last"}) + 3
    as_json = JsonFormatter().format(made)
    assert as_json.isascii()
    assert as_json.isprintable()
    assert json.loads(as_json) == fields


@given(st.text())
@example("\ud800")
def test_quoted_text_reads_back_and_prints(text: str) -> None:
    """Any text, halves of surrogate pairs included, becomes one line that means the same."""
    assert quoted(text).isprintable()
    assert escaped(text).isprintable()
    assert json.loads(quoted(text)) == text or re.search("[\ud800-\udfff]{2}", text)


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), [1, "a\n"], {"a": 1}, b"x", object()]
)
def test_values_of_any_type_are_text(value: object) -> None:
    """What JSON has no type for is text, in both formats."""
    made = record("m", value=value)
    assert parse(LogfmtFormatter().format(made))["value"] == str(value)
    assert json.loads(JsonFormatter().format(made))["value"] == str(value)


def test_a_field_cannot_replace_time_level_or_message() -> None:
    """A field of the name of a standard one gets another name; none is lost."""
    made = record("m", level="error", msg="x", **{"a b": 1, "a_b": 2, "": 3})
    fields = parse(LogfmtFormatter().format(made))
    assert (fields["level"], fields["msg"]) == ("warn", "m")
    assert (fields["level_"], fields["msg_"]) == ("error", "x")
    assert (fields["a_b"], fields["a_b_"], fields["_"]) == ("1", "2", "3")


def test_an_exception_is_one_field_and_its_traceback_another() -> None:
    """Logfmt has the traceback at debug only, JSON always; both in one line."""
    made = failed(ValueError("bad\nname"))
    brief = parse(LogfmtFormatter().format(made))
    assert brief["error"] == "ValueError: bad\nname"
    assert "traceback" not in brief
    for full in (
        parse(LogfmtFormatter(tracebacks=True).format(made)),
        json.loads(JsonFormatter().format(made)),
    ):
        assert full["error"] == "ValueError: bad\nname"
        assert full["traceback"].startswith("Traceback (most recent call last):\n")
    assert parse(LogfmtFormatter().format(failed(KeyError("k"), error="own")))["error"] == "own"


class _Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def test_what_cannot_be_formatted_is_logged_as_far_as_it_can(
    restored: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong arguments, and objects without a text, cost their own part of the line only."""
    logs.set_up()
    del logging.getLogger().handlers[:-1]  # pytest's own raise where ours must not
    log.warning("%d notifications", "many")
    log.warning("Failed: %s", _Unprintable())
    log.warning(_Unprintable())
    event(log, logging.WARNING, "Value", value=_Unprintable())
    log.warning("Broken", extra={"fields": "not a mapping"})
    log.warning("Raised", exc_info=_Unprintable())
    lines = [parse(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["msg"] for line in lines] == [
        "%d notifications",
        "Failed: %s",
        "<_Unprintable>",
        "Value",
        "Broken",
        "Raised",
    ]
    assert lines[3]["value"] == "<_Unprintable>"
    assert lines[5]["error"] == "_Unprintable: <_Unprintable>"


@pytest.mark.parametrize(
    ("level", "ours", "others"),
    [
        ("debug", "debug info warn error error", "warn error error"),
        ("info", "info warn error error", "warn error error"),
        ("warn", "warn error error", "warn error error"),
        ("error", "error error", "error error"),
    ],
)
def test_the_level_is_ours_and_libraries_only_warn(
    level: str, ours: str, others: str, restored: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Messages below the level are left out, and those of libraries below a warning as well."""
    logs.set_up("debug")
    logs.set_up(level)
    for name, expected in (("exporter.test", ours), ("library", others)):
        for number in (10, 20, 30, 40, 50):
            logging.getLogger(name).log(number, "m")
        lines = capsys.readouterr().err.splitlines()
        assert [parse(line)["level"] for line in lines] == expected.split()


def test_fields_may_have_the_names_of_the_parameters(
    restored: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """`event` takes any field, and its message is never a format."""
    logs.set_up(format="json")
    event(log, logging.INFO, "100 %s", log=1, message="x")
    line = json.loads(capsys.readouterr().err)
    assert (line["msg"], line["log"], line["message"]) == ("100 %s", 1, "x")


class _Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("broken", ["closed", "absent", "full", "narrow"])
def test_logging_never_raises(broken: str, restored: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A standard error that is closed, absent, full or of another encoding costs the line only."""
    closed = io.StringIO()
    closed.close()
    narrow = io.TextIOWrapper(io.BytesIO(), "ascii")
    streams = {"closed": closed, "absent": None, "full": _Full(), "narrow": narrow}
    logs.set_up()
    monkeypatch.setattr(sys, "stderr", streams[broken])
    log.warning("Ü")
    event(log, logging.WARNING, "Ü", name="ü")
