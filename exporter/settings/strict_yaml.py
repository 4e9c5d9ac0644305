"""YAML without surprises: text stays text, a key is given once, and every value knows its line.

Plain YAML turns ``yes`` into a boolean and ``1:30`` into ninety, takes the last of two equal
keys, and lets ten lines of aliases become a gigabyte. Here a scalar is the text that was
written, or ``None`` where nothing was; duplicate keys, anchors, aliases and tags are errors.
"""

from __future__ import annotations

import codecs
from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches

import yaml

from exporter.errors import SettingsError, cited, is_text

#: 15,000 users of basic authentication fit. It takes a second to read.
MAX_BYTES = 1 << 20
MAX_DEPTH = 20

_NULL = "tag:yaml.org,2002:null"


@dataclass(frozen=True, slots=True)
class Node:
    """A value of the file: text, nothing, a sequence, or a mapping."""

    value: str | list[Node] | dict[str, Node] | None
    #: File, line and key, as an error message begins: ``agent.yml:7: web.max-requests``.
    where: str

    def error(self, message: str) -> SettingsError:
        """An error about this value, to raise."""
        return SettingsError(f"{self.where}: {message}")

    def text(self) -> str:
        """The text of a scalar. Raises SettingsError for anything else, nothing included."""
        if self.value is None:
            raise self.error('has no value: give it one ("" is empty text), or remove the key')
        if not isinstance(self.value, str):
            raise self.error("must be one value, not several")
        return self.value

    def sequence(self) -> list[Node]:
        """The values of a sequence; nothing is an empty one. Raises SettingsError."""
        if not isinstance(self.value, list | None):
            raise self.error("must be a list: write [A, B], or a line that begins with - for each")
        return self.value or []

    def mapping(self, known: Collection[str] | None = None) -> dict[str, Node]:
        """The values by key; nothing is an empty mapping. Raises SettingsError.

        A key that is not one of `known` is an error; ``None`` allows any.
        """
        if not isinstance(self.value, dict | None):
            raise self.error("must be a mapping: write KEY: VALUE lines")
        value = self.value or {}
        for key, child in value.items():
            if known is not None and key not in known:
                raise child.error(f"unknown key: {_advice(key, known)}")
        return value


def read_yaml(path: str) -> Node:
    """The content of a file. Raises SettingsError."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # a NUL in the path
        raise SettingsError(f"{path}: cannot be read: {error}") from None
    return parse_yaml(data, path)


def parse_yaml(data: bytes, name: str) -> Node:
    """The content of a file called `name`. Raises SettingsError."""
    if len(data) > MAX_BYTES:
        raise SettingsError(f"{name}: is larger than {MAX_BYTES >> 20} MiB")
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")  # Windows' shell writes either
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
    except (ValueError, OverflowError):  # int() and chr(), which PyYAML trusts
        raise SettingsError(f"{name}: is not valid YAML: a number in it is out of range") from None
    return Node(None, name) if root is None else _convert(root, name, "", root)


class _Refused(yaml.MarkedYAMLError):
    """Good YAML, but not here."""


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {  # noqa: RUF012  (PyYAML declares it so)
        first: [(tag, pattern) for tag, pattern in resolvers if tag == _NULL]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        problem = None
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            problem = "anchors and aliases are not allowed: write the value again"
        elif getattr(event, "tag", None):
            problem = f"the tag {cited(event.tag)} is not allowed: quote the value to keep it text"
        elif self._depth >= MAX_DEPTH:
            problem = f"is nested more than {MAX_DEPTH} levels deep"
        if problem:
            raise _Refused(problem=problem, problem_mark=event.start_mark)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def _convert(node: yaml.Node, name: str, path: str, place: yaml.Node) -> Node:
    """`place`: what shows the line; for a value, its key."""
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
        raise SettingsError(f"{where}: holds half of a UTF-16 surrogate pair")
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


def _advice(key: str, known: Collection[str]) -> str:
    section, dot, rest = key.partition(".")
    if dot and section in known:
        return f"a dot is a level, write {section}: {{{rest}: …}}"
    close = get_close_matches(key, known, 1)
    return f"did you mean {close[0]}?" if close else f"expected one of {', '.join(known)}"
