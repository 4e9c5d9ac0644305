"""Parses YAML without surprises, and keeps the line of every value for error messages.

Plain YAML turns ``yes`` into a boolean and ``1:30`` into ninety, takes the last of two equal
keys, and lets ten lines of aliases become a gigabyte. Here a scalar is the text of the file, or
``None`` if there is none; duplicate keys, anchors, aliases and tags are errors. Size, depth and
number of values are limited, so that any file is parsed within two seconds.
"""

from __future__ import annotations

import codecs
from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches

import yaml

from exporter.errors import SettingsError, cited, is_text
from exporter.settings.files import MAX_BYTES, read_file

MAX_DEPTH = 20
#: Keys and values: 15,000 users of basic authentication need 30,000.
MAX_NODES = 40_000

_NULL = "tag:yaml.org,2002:null"


@dataclass(frozen=True, slots=True)
class Node:
    """A value of the file: text, ``None``, a sequence or a mapping."""

    value: str | list[Node] | dict[str, Node] | None
    #: File, line and key, as in ``agent.yml:7: web.max-requests``.
    where: str

    def error(self, message: str) -> SettingsError:
        """Make an error about this value."""
        return SettingsError(f"{self.where}: {message}")

    def text(self) -> str:
        """Return the text of a scalar. Raises SettingsError for other values and ``None``."""
        if self.value is None:
            raise self.error('has no value: add one ("" is empty text), or remove the key')
        if not isinstance(self.value, str):
            raise self.error("must be one value, not several")
        return self.value

    def sequence(self) -> list[Node]:
        """Return the values of a sequence; ``None`` is an empty one. Raises SettingsError."""
        if not isinstance(self.value, list | None):
            raise self.error("must be a list: write [A, B], or one line for each, with - before it")
        return self.value or []

    def mapping(self, keys: Collection[str] | None = None) -> dict[str, Node]:
        """Return the values by key; ``None`` is an empty mapping. Raises SettingsError.

        A key that is not in `keys` is an error, unless `keys` is ``None``.
        """
        if not isinstance(self.value, dict | None):
            raise self.error("must be a mapping: write KEY: VALUE lines")
        value = self.value or {}
        for key, child in value.items():
            if keys is not None and key not in keys:
                raise child.error(f"unknown key: {_advice(key, keys)}")
        return value


def read_yaml(path: str) -> Node:
    """Parse a file. Raises SettingsError."""
    try:
        data = read_file(path)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror or error}") from None
    return parse_yaml(data, path)


def parse_yaml(data: bytes, name: str) -> Node:
    """Parse the content of a file called `name`, of at most MAX_BYTES. Raises SettingsError."""
    assert len(data) <= MAX_BYTES
    utf_16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if utf_16 else "utf-8-sig")  # PowerShell writes either
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{name}:{line}: is not UTF-8 text") from None
    try:
        root = _Loader(text).get_single_node()
    except _Refused as error:
        raise SettingsError(f"{name}:{_line(error)}: {error.problem}") from None
    except yaml.MarkedYAMLError as error:
        problem = ", ".join(filter(None, (error.context, error.problem)))
        raise SettingsError(f"{name}:{_line(error)}: is not valid YAML: {problem}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        character = f"U+{ord(text[error.position]):04X}"
        raise SettingsError(f"{name}:{line}: {character} is not allowed in YAML") from None
    except (ValueError, OverflowError):  # raised by int() and chr() in PyYAML
        raise SettingsError(f"{name}: is not valid YAML: a number in it is out of range") from None
    return Node(None, name) if root is None else _convert(root, name, "", root)


class _Refused(yaml.MarkedYAMLError):
    """Valid YAML that is not allowed here."""


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {  # noqa: RUF012  (as declared by PyYAML)
        first: [(tag, pattern) for tag, pattern in resolvers if tag == _NULL]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    _depth = _nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        problem = None
        self._nodes += 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            problem = "anchors and aliases are not allowed: write the value again"
        elif getattr(event, "tag", None):
            problem = f"the tag {cited(event.tag)} is not allowed: quote the value to keep it text"
        elif self._nodes > MAX_NODES:
            problem = f"has more than {MAX_NODES:,} keys and values"
        elif self._depth >= MAX_DEPTH:
            problem = f"is nested more than {MAX_DEPTH} levels deep"
        if problem:
            raise _Refused(problem=problem, problem_mark=event.start_mark)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def _convert(node: yaml.Node, name: str, path: str, place: yaml.Node) -> Node:
    """Convert a node; `place` has its line: the key of a value, or the node itself."""
    line = f"{name}:{place.start_mark.line + 1}"
    where = f"{line}: {path}" if path else line
    if isinstance(node, yaml.MappingNode):
        return Node(_mapping(node, name, path), where)
    if isinstance(node, yaml.SequenceNode):
        items = enumerate(node.value)
        return Node([_convert(item, name, f"{path}[{i}]", item) for i, item in items], where)
    if node.tag == _NULL:
        return Node(None, where)
    if not is_text(node.value):
        raise SettingsError(f"{where}: contains half of a UTF-16 surrogate pair")
    return Node(node.value, where)


def _mapping(node: yaml.MappingNode, name: str, path: str) -> dict[str, Node]:
    values: dict[str, Node] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode) or not is_text(key.value):
            raise SettingsError(f"{name}:{line}: a key must be plain text")
        full = f"{path}.{key.value}" if path else key.value
        if key.value in values:
            raise SettingsError(f"{name}:{line}: {full}: is given twice: remove one of them")
        values[key.value] = _convert(value, name, full, key)
    return values


def _line(error: yaml.MarkedYAMLError) -> int:
    mark = error.problem_mark or error.context_mark
    return mark.line + 1 if mark else 1


def _advice(key: str, keys: Collection[str]) -> str:
    section, dot, rest = key.partition(".")
    if dot and section in keys:
        return f"a dot is a level, write {section}: {{{rest}: …}}"
    close = get_close_matches(key, keys, 1)
    return f"did you mean {close[0]}?" if close else f"expected one of {', '.join(keys)}"
