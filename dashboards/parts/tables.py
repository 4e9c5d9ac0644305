"""Tables of one row for each host or IP interface, joined from one query a column."""

from __future__ import annotations

from typing import NamedTuple

from grafana_foundation_sdk.builders import common, table
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from parts.looks import color, link, thresholds
from parts.panels import REFS, filled, now

#: Pixels of a column of figures, and of one of names. Grafana's 150 cuts off the last columns of a
#: table of eight.
_NARROWEST, _NARROWEST_NAME = 60, 70
#: How long the values of a unit become.
_LETTERS = {"dateTimeFromNow": len("a few seconds ago"), "locale": 6}


class Column(NamedTuple):
    """A column of a table: a query whose results share the labels of the others'."""

    title: str
    expr: str
    unit: str = "none"
    decimals: int | None = None
    limits: tuple[tuple[float | None, str], ...] = ()
    words: tuple[models.ValueMap | models.SpecialValueMap, ...] = ()
    #: Only the labels of the results are shown.
    labels_only: bool = False
    #: Shares with the labels what the other columns leave.
    wide: bool = False
    #: Shows a bar as long as the value, too.
    bar: bool = False

    def properties(self) -> list[models.DynamicConfigValue]:
        """Return how Grafana shows the values."""
        shown: list[tuple[str, object]] = [("displayName", self.title), ("unit", self.unit)]
        if self.bar:
            basic = common_models.BarGaugeDisplayMode.BASIC
            shown.append(("custom.cellOptions", common_models.TableBarGaugeCellOptions(basic)))
            shown += [
                ("color", color(models.FieldColorModeId.CONTINUOUS_YL_RD).build()),
                ("min", 0),
            ]
        if not self.wide:
            width = max(_width(_letters(self.title)), _width(self._longest()))
            shown.append(("custom.width", width))
        if self.decimals is not None:
            shown.append(("decimals", self.decimals))
        if self.words:
            shown.append(("mappings", list(self.words)))
        if self.limits:
            shown.append(("thresholds", thresholds(*self.limits).build()))
        if self.limits or any(isinstance(words, models.ValueMap) for words in self.words):
            shown.append(("custom.cellOptions", common_models.TableColorTextCellOptions()))
        return [models.DynamicConfigValue(id_val=name, value=value) for name, value in shown]

    def _longest(self) -> float:
        """Return how long the values become."""
        maps = [words for words in self.words if isinstance(words, models.ValueMap)]
        texts = [mapped.text or "" for words in maps for mapped in words.options.values()]
        return max(map(_letters, texts)) if texts else _LETTERS.get(self.unit, 8)


def _letters(text: str) -> float:
    """Return how long a text is in letters, of which a narrow one is half."""
    return len(text) - sum(text.count(narrow) for narrow in "fijlrt ") / 2


def _width(letters: float) -> int:
    """Return the pixels of a column of so many letters."""
    return max(_NARROWEST, round(8.2 * letters + 24))


def listing(
    title: str,
    description: str,
    labels: dict[str, str],
    columns: list[Column],
    size: tuple[int, int],
    *,
    sort_by: str,
    ascending: bool = False,
    links: dict[str, tuple[str, str]] | None = None,
    letters: dict[str, int] | None = None,
    empty: str | None = None,
) -> table.Panel:
    """Return a table of one row for each label set, joined from one query a column.

    `labels` are shown under new titles, "" hides one; `links` are (title, URL) by label;
    `letters` says how long a label becomes, the others share what is left; `empty` stands where
    there is no row.
    """
    queries = [now(column.expr, "").format(PromQueryFormat.TABLE) for column in columns]
    panel = filled(table.Panel(), title, description, "none", queries, size)
    panel.min_width(_NARROWEST_NAME)
    if empty is not None:
        panel.no_value(empty)
    panel.sort_by([common.TableSortByFieldState().display_name(sort_by).desc(not ascending)])
    for name, shown in labels.items():
        override = [
            models.DynamicConfigValue(id_val="displayName", value=shown),
            # Not every row has every label, and the panel's word is about there being no row.
            models.DynamicConfigValue(id_val="noValue", value="–"),
        ]
        if not shown:
            override = [models.DynamicConfigValue(id_val="custom.hidden", value=True)]
        if letters and name in letters:
            width = models.DynamicConfigValue(id_val="custom.width", value=_width(letters[name]))
            override.append(width)
        if links and name in links:
            target = [link(*links[name]).build()]
            override.append(models.DynamicConfigValue(id_val="links", value=target))
        panel.override_by_name(name, override)
    values = [f"Value #{ref}" for ref, _ in zip(REFS, columns, strict=False)]
    excluded = {"Time": True}
    for value, column in zip(values, columns, strict=True):
        if column.labels_only:
            excluded[value] = True
        elif value == values[0]:
            # Grafana leaves the letter out when only one query has results.
            panel.override_by_regexp("/^Value( #A)?$/", column.properties())
        else:
            panel.override_by_name(value, column.properties())
    order = {name: position for position, name in enumerate([*labels, "Value", *values])}
    panel.with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
    return panel.with_transformation(
        models.DataTransformerConfig(
            id_val="organize",
            options={"excludeByName": excluded, "indexByName": order, "renameByName": {}},
        )
    )
