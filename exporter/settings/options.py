"""Options: how one is declared, and how its text is parsed.

A declaration is a field of a dataclass in `schema`. The command line, the configuration file,
the help and the type of the value follow from it.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar, cast

from exporter.errors import SettingsError, cited
from exporter.settings.regex import Regex
from exporter.settings.units import parse_duration

T = TypeVar("T")
N = TypeVar("N", int, float)


class Text(NamedTuple):
    """The text of a value and its place: ``--log.level``, ``agent.yml:3: log.level``."""

    where: str
    text: str

    def read(self, parse: Callable[[str], T]) -> T:
        """Parse the text. A ValueError becomes a SettingsError that begins with `where`."""
        try:
            return parse(self.text)
        except ValueError as error:
            raise SettingsError(f"{self.where}: {error}") from None


@dataclass(frozen=True, slots=True)
class Option:
    """One option. In the file, each dot of `flag` is a level: ``log: {level: debug}``."""

    flag: str
    #: Text, parsed like any other value.
    default: str
    parse: Callable[[str], Any]
    #: The placeholder of the value in the help; empty for a switch, which has no value.
    metavar: str
    help: str
    #: Several values are allowed, and a list in the file; `parse` then returns a tuple.
    many: bool = False
    in_file: bool = True
    #: The environment variable that is used if neither flag nor file has a value.
    environment: str = ""

    def value(self, texts: Sequence[Text]) -> Any:
        """Parse the texts; without `many`, the last one counts. Raises SettingsError."""
        values = [text.read(self.parse) for text in texts]
        return tuple(item for value in values for item in value) if self.many else values[-1]

    def default_value(self) -> Any:
        """Parse the default."""
        return self.value([Text("default", self.default)])


def option(
    flag: str,
    default: str,
    parse: Callable[[str], T],
    metavar: str,
    help: str,
    *,
    many: bool = False,
    in_file: bool = True,
    environment: str = "",
) -> T:
    """Declare an option as a dataclass field, typed by its parser."""
    declared = Option(flag, default, parse, metavar, help, many, in_file, environment)
    return cast(
        T,
        dataclasses.field(default_factory=declared.default_value, metadata={"option": declared}),
    )


def choice_option(
    flag: str, default: str, values: Mapping[str, T], help: str, *, in_file: bool = True
) -> T:
    """Declare an option whose value is one of the words in `values`."""
    return option(flag, default, choice(values), "|".join(values), help, in_file=in_file)


def duration_option(flag: str, default: str, minimum: str, maximum: str, help: str) -> float:
    """Declare an option whose value is a duration within two limits. Unit: seconds."""
    return option(flag, default, between(parse_duration, minimum, maximum), "DURATION", help)


def switch_option(flag: str, help: str) -> bool:
    """Declare a switch, which is off by default."""
    return option(flag, "false", choice({"true": True, "false": False}), "", help)


def options_of(settings: type[Any]) -> dict[str, Option]:
    """Return the options that a dataclass declares, by field name."""
    fields = dataclasses.fields(settings)
    return {f.name: f.metadata["option"] for f in fields if "option" in f.metadata}


# -- parsers: str to value; ValueError if the text is invalid -----------------------------


def choice(values: Mapping[str, T]) -> Callable[[str], T]:
    """Make a parser of the words in `values`."""

    def parse(text: str) -> T:
        if text not in values:
            raise ValueError(f"{cited(text)}: must be one of {', '.join(values)}")
        return values[text]

    return parse


def words(*values: str) -> dict[str, str]:
    """Return words for `choice`, each its own value."""
    return {value: value for value in values}


def whole_number(text: str) -> int:
    """Parse an integer of ASCII digits."""
    if not re.fullmatch("-?[0-9]{1,18}", text):
        raise ValueError(f"{cited(text)} is not a whole number")
    return int(text)


def between(parse: Callable[[str], N], minimum: str, maximum: str) -> Callable[[str], N]:
    """Make a parser that refuses values of `parse` outside two limits, written as text."""

    def parse_within(text: str) -> N:
        value = parse(text)
        if value < parse(minimum):
            raise ValueError(f"{cited(text)}: must be {minimum} or more")
        if value > parse(maximum):
            raise ValueError(f"{cited(text)}: must be {maximum} or less")
        return value

    return parse_within


def regex(text: str) -> Regex:
    """Parse a regular expression, which must not be empty."""
    if not text:
        raise ValueError("must not be empty: write for example eth.*")
    return Regex(text)


def optional_regex(text: str) -> Regex | None:
    """Parse a regular expression; empty text is ``None``."""
    return Regex(text) if text else None


def names(text: str) -> tuple[str, ...]:
    """Parse names separated by commas; empty text is none."""
    parts = tuple(part.strip() for part in text.split(",")) if text else ()
    for part in parts:
        if not part or not part.isprintable() or " " in part:
            raise ValueError(f"{cited(text)}: write names separated by commas: veth,bridge")
    return parts
