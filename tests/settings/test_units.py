"""Durations and sizes as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.settings.units import parse_duration, parse_size

MILLISECONDS = {"w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
BYTES = {"GiB": 1 << 30, "GB": 10**9, "MiB": 1 << 20, "MB": 10**6, "KiB": 1024, "kB": 1000}


@given(st.fixed_dictionaries({}, optional={u: st.integers(0, 999_999) for u in MILLISECONDS}))
def test_a_duration_is_the_sum_of_its_parts(parts: dict[str, int]) -> None:
    """Any parts, largest unit first, mean exactly the milliseconds that they add up to."""
    ordered = {unit: parts[unit] for unit in MILLISECONDS if unit in parts} or {"s": 0}
    text = "".join(f"{number}{unit}" for unit, number in ordered.items())
    total = sum(number * MILLISECONDS[unit] for unit, number in ordered.items())
    assert parse_duration(text) == total / 1000


@given(st.integers(0, 10**12))
def test_a_duration_survives_being_written(milliseconds: int) -> None:
    """A duration that is written in the largest units that fit reads back unchanged."""
    rest, text = milliseconds, ""
    for unit, size in MILLISECONDS.items():
        number, rest = divmod(rest, size)
        text += f"{number}{unit}" if number else ""
    assert parse_duration(text or "0") == milliseconds / 1000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("90s", 90),
        ("1h30m", 5400),
        ("500ms", 0.5),
        ("1.5s", 1.5),
        ("10m", 600),
        ("2d", 172_800),
        (".5s", 0.5),
        ("1500us", 0.0015),
        ("1m1h", 3660),
        ("-1s", -1),
    ],
)
def test_durations_that_people_write(text: str, seconds: float) -> None:
    """Durations are understood as Prometheus and as Go write them."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10 minutes",
        "10m ",
        " 10m",
        "10m\n",
        "1" * 10 + "s",
        "9" * 100000 + "s",
        *[
            "90",
            "m",
            "1d1h1m1h",
            "1e3s",
            "1_0s",
            "٣s",
            "1M",
            "1S",
            "1y",
            "nan",
            "inf",
        ],
    ],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    """Anything ambiguous or out of bounds is an error that shows what would be right."""
    with pytest.raises(
        ValueError, match=r"is not a duration: write for example 90s, 10m or 1h30m$"
    ):
        parse_duration(text)


@given(st.integers(0, 10**12), st.sampled_from(["", "B", *BYTES]))
def test_a_size_is_its_number_times_its_unit(number: int, unit: str) -> None:
    """Decimal units are powers of 1000, binary ones of 1024."""
    assert parse_size(f"{number}{unit}") == number * BYTES.get(unit, 1)


@given(st.integers(0, 1 << 49))
def test_a_size_survives_being_written(number: int) -> None:
    """A size that is written in the largest unit that divides it reads back unchanged."""
    unit = next((u for u, size in BYTES.items() if number and not number % size), "")
    assert parse_size(f"{number // BYTES.get(unit, 1)}{unit}") == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "MiB",
        "32 MiB",
        "32M",
        "32mib",
        "1.5MiB",
        "-1",
        "0x10",
        "1_000",
        "٣",
        "1\n",
        "9" * 100_000,
    ],
)
def test_what_is_no_size_is_refused(text: str) -> None:
    """Anything ambiguous or out of bounds is an error that shows what would be right."""
    with pytest.raises(ValueError, match=r"is not a size: write for example 65536, 4MB or 32MiB$"):
        parse_size(text)


@given(st.text())
def test_any_text_gives_a_value_or_a_value_error(text: str) -> None:
    """No text makes a parser fail in another way, or print more than one line."""
    for parse in (parse_duration, parse_size):
        value: float = 0
        message = ""
        try:
            value = parse(text)
        except ValueError as error:
            message = str(error)
        assert value >= 0
        assert message.isprintable()
        assert len(message) < 500
