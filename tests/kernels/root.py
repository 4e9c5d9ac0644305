"""The guest's disk: a Debian release's own Python and tools, and the project's dependencies."""

import hashlib
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from kernels import tools
from support.apt import Packages

_PROJECT = Path(__file__).parents[2]
_PACKAGES = (
    *("dash", "coreutils", "grep", "sed", "tar", "mount", "util-linux", "procps", "kmod"),
    *("python3", "iproute2", "libstdc++6"),
)
#: For what the tests write.
_FREE_BYTES = 512 << 20
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/nonexistent:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}
_FOLDERS = ("proc", "sys", "dev", "run", "tmp", "root", "var/tmp", "usr/lib/modules")
_MERGED = ("bin", "sbin", "lib", "lib64")


def provide(name: str, *suites: str) -> Path:
    """The disk image, with the packages of these suites when it was made, kept under a name."""
    requirements = _requirements()
    recipe = repr((_PACKAGES, requirements, _FILES, _FOLDERS))
    digest = hashlib.sha256(recipe.encode()).hexdigest()[:16]
    image = tools.HOME / f"root-{name}-{digest}.img"
    if image.exists():
        return image
    for outdated in tools.HOME.glob(f"root-{name}-*.img"):
        outdated.unlink()
    with tempfile.TemporaryDirectory(dir=tools.HOME) as scratch:
        tree = Path(scratch) / "root"
        Packages(*suites).unpack_with_dependencies(_PACKAGES, tree)
        _merge(tree)
        for folder in _FOLDERS:
            (tree / folder).mkdir(parents=True, exist_ok=True)
        for name, content in _FILES.items():
            (tree / name).write_text(content)
        _install(requirements, tree)
        tools.disk_image(tree, image, _FREE_BYTES)
    return image


def _merge(tree: Path) -> None:
    """Make /bin a link to /usr/bin, and so on, as an installed Debian has it since 12."""
    for name in _MERGED:
        folder = tree / name
        if not folder.is_symlink():
            if folder.exists():
                shutil.copytree(folder, tree / "usr" / name, symlinks=True, dirs_exist_ok=True)
                shutil.rmtree(folder)
            folder.symlink_to(f"usr/{name}")


def _requirements() -> list[str]:
    project = tomllib.loads((_PROJECT / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["test"]]


def _install(requirements: list[str], tree: Path) -> None:
    """Install the wheels for the tree's own Python, and compile all that it may import."""
    (library,) = (path for path in tree.glob("usr/lib/python3.*") if (path / "os.py").exists())
    version = library.name.removeprefix("python")
    site = tree / "usr/local/lib" / library.name / "dist-packages"
    wheels = ["--only-binary=:all:", "--implementation", "cp", "--python-version", version]
    for platform in ("manylinux_2_28", "manylinux_2_17", "manylinux2014"):
        wheels += ["--platform", f"{platform}_x86_64"]
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    install = ["install", "--no-compile", "--target", site, *wheels, *requirements]
    subprocess.run([*pip, *install], check=True)
    (site / "project.pth").write_text("/project\n")
    compiling = ["-m", "compileall", "-q", "-s", tree, "-p", "/", library, site]
    tools.run(f"usr/bin/{library.name}", *compiling, tree=tree, PYTHONHOME=str(tree / "usr"))
