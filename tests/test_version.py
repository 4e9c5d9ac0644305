"""The commit that --version and build_info tell."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from requirements_here import require

from exporter.version import checked_out, revision

ROOT = Path(__file__).parents[1]
SOURCE = ("pyproject.toml", "README.md", "LICENSE", ".build", "exporter")
COMMIT = "5bb9dc7" + "0" * 33
OTHER = "5bb9dc7" + "1" * 33


def test_the_revision_is_a_commit_or_unknown() -> None:
    """In a checkout it is the commit that git names, elsewhere a commit or the word unknown."""
    assert re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}|unknown", revision())
    if (ROOT / ".git").exists() and shutil.which("git"):
        command = ["git", "-c", f"safe.directory={ROOT}", "rev-parse", "HEAD"]
        assert revision() == subprocess.check_output(command, cwd=ROOT, text=True).strip()


@pytest.mark.parametrize("state", ["branch", "packed", "detached", "worktree", "submodule"])
def test_the_commit_is_read_without_git(state: str, tmp_path: Path) -> None:
    """It is found however git has noted it."""
    git = place = tmp_path / ".git"
    branch = "ref: refs/heads/main\n"
    files = {
        "branch": {".git/HEAD": branch, ".git/refs/heads/main": f"{COMMIT}\n"},
        "packed": {
            ".git/HEAD": branch,
            ".git/packed-refs": f"# packed\n{OTHER} refs/heads/a\n{COMMIT} refs/heads/main\n",
        },
        "detached": {".git/HEAD": f"{COMMIT}\n"},
        "worktree": {
            "tree/.git": f"gitdir: {git}/worktrees/tree\n",
            ".git/worktrees/tree/HEAD": branch,
            ".git/worktrees/tree/commondir": "../..\n",
            ".git/HEAD": "ref: refs/heads/other\n",
            ".git/refs/heads/main": f"{COMMIT}\n",
        },
        "submodule": {"part/.git": "gitdir: ../.git/part\n", ".git/part/HEAD": f"{COMMIT}\n"},
    }[state]
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
        if name.endswith("/.git"):
            place = tmp_path / name
    assert checked_out(place) == COMMIT


@pytest.mark.parametrize("text", ["", "ref: refs/heads/main", "\udcff"])
def test_an_unreadable_checkout_has_no_commit(text: str, tmp_path: Path) -> None:
    """What git would not understand either is no reason to fail."""
    (tmp_path / "HEAD").write_text(text, errors="surrogateescape")
    assert checked_out(tmp_path) == ""
    assert checked_out(tmp_path / "HEAD") == ""
    assert checked_out(tmp_path / "nowhere") == ""


def build(source: Path, target: str, **variables: str) -> Path:
    """Build a wheel or a source distribution; the folder that holds its content."""
    folder = Path(f"{source}-{target}")
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, cwd=source, env=os.environ | variables, check=True, capture_output=True)
    (file,) = folder.iterdir()
    if target == "wheel":
        zipfile.ZipFile(file).extractall(folder)
    else:
        subprocess.run(["tar", "-xf", file, "-C", folder], check=True)
    return folder if target == "wheel" else next(folder.glob("*/"))


def built_revision(folder: Path) -> str:
    """Return the revision of what was built."""
    command = [sys.executable, "-c", "from exporter.version import revision; print(revision())"]
    return subprocess.check_output(command, cwd=folder, text=True).strip()


def test_a_build_knows_its_commit(tmp_path: Path) -> None:
    """A wheel has the commit of its checkout, its source distribution, or the variable.

    Without any it is unknown. The source tree stays as it was.
    """
    require(importlib.util.find_spec("hatchling"), "hatchling: pip install -e '.[test]'")
    source = tmp_path / "source"
    source.mkdir()
    for name in SOURCE:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    before = sorted(source.rglob("*.txt"))
    assert built_revision(build(source, "wheel")) == "unknown"
    assert built_revision(build(source, "wheel", IP_INTERFACE_EXPORTER_REVISION=OTHER)) == OTHER
    (source / ".git").mkdir()
    (source / ".git" / "HEAD").write_text(f"{COMMIT}\n")
    assert built_revision(build(source, "wheel")) == COMMIT
    distribution = build(source, "sdist")
    assert built_revision(distribution) == COMMIT
    assert built_revision(build(distribution, "wheel")) == COMMIT
    assert sorted(source.rglob("*.txt")) == before
