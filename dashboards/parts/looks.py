"""Colors and words: what a value means to the person who looks at it."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as models


def thresholds(*steps: tuple[float | None, str]) -> dashboard.ThresholdsConfig:
    """Return (from this value on, this color); the first has no lower end."""
    return (
        dashboard.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([models.Threshold(value=value, color=color) for value, color in steps])
    )


#: Any is too many; from a half on, because `increase` extrapolates to what is no whole number.
NONE_IS_GOOD = ((None, "green"), (0.5, "red"))
#: Service levels people know: three nines, two nines.
AVAILABILITY = ((None, "red"), (0.99, "orange"), (0.999, "green"))
NO_LIMITS = ((None, "text"),)


def mapping(*values: tuple[str, str, str]) -> models.ValueMap:
    """Map (value, text, color) for values that stand for words."""
    return models.ValueMap(
        {value: models.ValueMappingResult(text=text, color=color) for value, text, color in values}
    )


#: The unit of what is counted: whole numbers, by thousands.
COUNT = "locale"

STATE = mapping(
    ("1", "connected", "green"), ("0", "disconnected", "red"), ("2", "switched off", "blue")
)
SWITCHED_ON = mapping(("1", "on", "orange"), ("0", "off", "green"))
UP = mapping(("1", "up", "green"), ("0", "down", "red"))
CONFIRMED = mapping(("1", "confirmed", "green"), ("0", "unconfirmed", "red"))
LOADED = mapping(("1", "loaded", "green"), ("0", "refused", "red"))


#: `up` of the agent and `source_up` together.
AGENT_STATE = mapping(
    ("2", "confirmed", "green"), ("1", "not confirmed", "red"), ("0", "down", "red")
)
RULES = mapping(("1", "loaded", "green"), ("0", "missing", "orange"))


def nothing(text: str) -> models.SpecialValueMap:
    """Return a word for "no value", which 0/0 is too."""
    return models.SpecialValueMap(
        models.DashboardSpecialValueMapOptions(
            models.SpecialValueMatch.NULL_AND_NAN,
            models.ValueMappingResult(text=text, color="text"),
        )
    )


#: An interface that does not exist any more has no state.
GONE = nothing("gone")


def color(mode: models.FieldColorModeId) -> dashboard.FieldColor:
    """Return a color scheme."""
    return dashboard.FieldColor().mode(mode)


def link(title: str, url: str) -> dashboard.DashboardLink:
    """Return a link on a value."""
    return dashboard.DashboardLink(title).url(url)
