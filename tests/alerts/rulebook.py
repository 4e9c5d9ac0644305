"""The rules and their documents, read once."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

CONFIG = Path(__file__).parents[2] / "config"
RULE_FILES = sorted((CONFIG / "alerts").glob("*.yml"))
RULE_TESTS = sorted((Path(__file__).parent / "rules").glob("*.test.yml"))
RUNBOOKS = sorted(p for p in (CONFIG / "runbooks").glob("*.md") if p.name != "README.md")


class Rule(NamedTuple):
    """A recording or an alerting rule, and the file that it is in."""

    file: Path
    body: dict[str, Any]

    @property
    def name(self) -> str:
        """What it records, or how the alert is called."""
        name: str = self.body.get("alert") or self.body["record"]
        return name

    def __repr__(self) -> str:
        return self.name


def _rules() -> list[Rule]:
    return [
        Rule(file, rule)
        for file in RULE_FILES
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
    ]


def groups() -> list[str]:
    """The names of all groups, those first on whose series others build."""
    order = ("thresholds", "recording", "ip-interfaces", "agent")
    files = sorted(RULE_FILES, key=lambda file: order.index(file.stem))
    return [g["name"] for file in files for g in yaml.safe_load(file.read_text())["groups"]]


RULES = _rules()
ALERTS = [rule for rule in RULES if "alert" in rule.body]
RECORDED = [rule for rule in RULES if "record" in rule.body]


def code_blocks(document: Path, language: str) -> list[str]:
    """The fenced code of a language in a Markdown file."""
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(), re.M | re.S)


def queries(document: Path) -> list[str]:
    """The PromQL of a Markdown file: a query ends with its block, or with an empty line."""
    blocks = code_blocks(document, "promql")
    return [query for block in blocks for query in re.split(r"\n\s*\n", block.strip())]


# -- promtool, which evaluates each group at each step ----------------------------------


def at_their_intervals(file: Path) -> dict[str, Any]:
    """A rule file in which what is recorded has samples at its group's interval only."""
    document: dict[str, Any] = yaml.safe_load(file.read_text())
    for group in document["groups"]:
        seconds = int(group["interval"][:-1]) * {"m": 60, "h": 3600}[group["interval"][-1]]
        for rule in group["rules"]:
            if "record" in rule:
                rule["expr"] = f"({rule['expr']}) and on () vector(time()) % {seconds} == 0"
    return document


# -- a clock that runs sixty times as fast ----------------------------------------------

_DURATION = re.compile(r"\b(\d+)([mhd])\b")
_HURRIED = {"m": (1, "s"), "h": (1, "m"), "d": (24, "m")}


def _hurry(text: str) -> str:
    def shorten(match: re.Match[str]) -> str:
        times, unit = _HURRIED[match[2]]
        return f"{int(match[1]) * times}{unit}"

    return _DURATION.sub(shorten, text)


def hurried(file: Path) -> dict[str, Any]:
    """A rule file in which a minute is a second; and a veth, a test's cable, is watched.

    Scraped and evaluated every second, it behaves as the file itself does at the common
    interval of a minute: every window holds as many samples.
    """
    text = file.read_text().replace('kind=~"|', 'kind=~"veth||').replace(" / 300", " / 5")
    document: dict[str, Any] = yaml.safe_load(text)
    for group in document["groups"]:
        for timed in (group, *group["rules"]):
            for key in {"interval", "expr", "for", "keep_firing_for"} & timed.keys():
                timed[key] = _hurry(timed[key])
    return document
