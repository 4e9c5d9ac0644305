"""Options: how each is declared, once, and how the text of its value is read.

A declaration is a field of the dataclasses in `settings`. The command line, the
configuration file, the help and the type of the value all follow from it.
"""

from __future__ import annotations

import dataclasses
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar, cast

from exporter.errors import SettingsError, cited

T = TypeVar("T")
N = TypeVar("N", int, float)


class Text(NamedTuple):
    """Text that was given as a value, and where: ``--log.level``, ``agent.yml:3: log.level``."""

    where: str
    text: str

    def read(self, parse: Callable[[str], T]) -> T:
        """What it means. Raises SettingsError, which says where, for `parse`'s ValueError."""
        try:
            return parse(self.text)
        except ValueError as error:
            raise SettingsError(f"{self.where}: {error}") from None


@dataclass(frozen=True, slots=True)
class Option:
    """One option. In the file, each dot of `flag` is a level: ``log: {level: debug}``."""

    flag: str
    #: As a person would write it; read like any other value.
    default: str
    parse: Callable[[str], Any]
    #: What stands for the value in the help; empty for a switch, which needs none.
    metavar: str
    help: str
    #: May be given several times, and as a list in the file; `parse` gives a tuple then.
    many: bool = False
    in_file: bool = True
    #: Name of the environment variable that is read when neither flag nor file says anything.
    environment: str = ""

    def value(self, texts: Sequence[Text]) -> Any:
        """What the texts mean; of several for one value, the last counts. Raises SettingsError."""
        values = [text.read(self.parse) for text in texts]
        return tuple(item for value in values for item in value) if self.many else values[-1]

    def default_value(self) -> Any:
        """What the default means."""
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
    """Declare an option: a dataclass field, typed by its parser."""
    declared = Option(flag, default, parse, metavar, help, many, in_file, environment)
    return cast(
        T,
        dataclasses.field(default_factory=declared.default_value, metadata={"option": declared}),
    )


def options_of(settings: type[Any]) -> dict[str, Option]:
    """The options that a dataclass declares, by the name of the field."""
    fields = dataclasses.fields(settings)
    return {f.name: f.metadata["option"] for f in fields if "option" in f.metadata}


# -- parsers: text to value, ValueError for text that means nothing ----------------------


def switch(text: str) -> bool:
    """A boolean."""
    return choice({"true": True, "false": False})(text)


def choice(values: Mapping[str, T]) -> Callable[[str], T]:
    """One of a few words."""

    def parse(text: str) -> T:
        if text not in values:
            raise ValueError(f"{cited(text)}: must be one of {', '.join(values)}")
        return values[text]

    return parse


def words(*values: str) -> Callable[[str], str]:
    """One of a few words, which is its own value."""
    return choice({value: value for value in values})


def whole_number(text: str) -> int:
    """An integer, written in ASCII digits and nothing else."""
    if not re.fullmatch("-?[0-9]{1,18}", text):
        raise ValueError(f"{cited(text)} is not a whole number")
    return int(text)


def between(parse: Callable[[str], N], minimum: str, maximum: str) -> Callable[[str], N]:
    """What `parse` makes of a text, if it lies between what it makes of the other two."""

    def parse_within(text: str) -> N:
        value = parse(text)
        if value < parse(minimum):
            raise ValueError(f"{cited(text)}: must be {minimum} or more")
        if value > parse(maximum):
            raise ValueError(f"{cited(text)}: must be {maximum} or less")
        return value

    return parse_within


def pattern(text: str) -> re.Pattern[str]:
    """A regular expression, to be used with `fullmatch`. It cannot be empty."""
    if not text:
        raise ValueError("must not be empty: write for example eth.*")
    try:
        with warnings.catch_warnings():
            # What Python warns of, other engines read differently: [[:alpha:]], [a--b].
            warnings.simplefilter("error", FutureWarning)
            return re.compile(text)
    except (re.error, FutureWarning, OverflowError, RecursionError) as error:
        raise ValueError(f"{cited(text)} is not a regular expression: {error}") from None


def optional_pattern(text: str) -> re.Pattern[str] | None:
    """A regular expression; ``None`` for empty text."""
    return pattern(text) if text else None


def listed(text: str) -> tuple[str, ...]:
    """Words with commas between them; none for empty text."""
    names = tuple(name.strip() for name in text.split(",")) if text else ()
    for name in names:
        if not name or not name.isprintable() or " " in name:
            raise ValueError(f"{cited(text)}: write names with commas between: veth,bridge")
    return names
