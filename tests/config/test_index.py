"""config/README.md lists what there is."""

import re

from programs import CONFIG

#: These have pages of their own.
_ELSEWHERE = ("alerts", "runbooks")


def test_every_file_is_listed_and_every_listed_file_exists() -> None:
    """The table and the folder agree."""
    listed = re.findall(r"^\| \[(.+?)\]\((.+?)\)", (CONFIG / "README.md").read_text(), re.MULTILINE)
    assert all(shown == target for shown, target in listed)
    files = (str(file.relative_to(CONFIG)) for file in CONFIG.rglob("*") if file.is_file())
    wanted = {name for name in files if not name.startswith(_ELSEWHERE) and name != "README.md"}
    assert {target for _, target in listed} == wanted
