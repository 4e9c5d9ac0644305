"""Regular expressions of the settings."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.settings.regex import Regex

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "text", ["(([a-z0-9]+[-_]?)+)+!", "(a*)*b", "(a|a)*b", "(.*)(.*)(.*)(.*)!"]
)
def test_no_expression_is_slow(text: str) -> None:
    """Expressions that make Python's `re` backtrack for ages are decided for a long name."""
    assert not Regex(text).fullmatch("a" * 10_000)


@given(st.text(), st.text())
def test_a_whole_name_matches(name: str, rest: str) -> None:
    """An expression matches the whole of a name, whatever characters it has, or not at all."""
    assert Regex("(?s).*").fullmatch(name)
    assert Regex("eth").fullmatch(f"eth{rest}") == (rest == "")
    assert Regex("eth").fullmatch(f"{rest}eth") == (rest == "")


def test_expressions_are_equal_by_their_text() -> None:
    """Settings that were read twice are equal, and an error of the log shows the text."""
    assert Regex("eth.*") == Regex("eth.*") != Regex("eth.+")
    assert hash(Regex("eth.*")) == hash(Regex("eth.*"))
    assert repr(Regex("eth.*")) == "Regex(text='eth.*')"


def test_half_a_surrogate_pair_in_a_name_is_no_exception() -> None:
    """A name that cannot be encoded does not match, and does not raise."""
    assert not Regex("eth.*").fullmatch("\ud800")


def test_without_google_re2_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a platform without a wheel, an expression is an error that names the package."""
    monkeypatch.setitem(sys.modules, "re2", None)
    with pytest.raises(ValueError, match=r"google-re2, which is not installed: .* pip install"):
        Regex("eth.*")


def test_google_re2_is_loaded_only_for_an_expression() -> None:
    """Settings without a filter or group do not import it; a filter does."""
    code = (
        "import sys; from exporter.agent.check_config import load\n"
        "load({}, {}); assert 're2' not in sys.modules\n"
        "load({'collector.include': ['eth.*']}, {}); assert 're2' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
