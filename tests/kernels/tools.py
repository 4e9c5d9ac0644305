"""Programs that make and run a guest, unpacked from Debian 12's packages and run from there."""

import os
import subprocess
from pathlib import Path
from typing import Any

from support.apt import Packages
from support.cache import cache_directory

HOME = cache_directory() / "kernels"
_TREE = HOME / "tools"
_PACKAGES = ("qemu-system-x86", "e2fsprogs", "kmod", "busybox-static")
_LIBRARIES = ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu")

BUSYBOX = _TREE / "bin" / "busybox"
#: Where qemu looks for its firmware, and for the parts of itself that it loads.
QEMU_OPTIONS = ("-L", str(_TREE / "usr/share/seabios"), "-L", str(_TREE / "usr/share/qemu"))
QEMU_ENVIRONMENT = {"QEMU_MODULE_DIR": str(_TREE / "usr/lib/x86_64-linux-gnu/qemu")}


def provide() -> None:
    """Fetch them, unless they are there."""
    if not _TREE.exists():
        Packages("bookworm", "bookworm-security").unpack_with_dependencies(_PACKAGES, _TREE)


def command(program: str, *arguments: str | Path, tree: Path = _TREE) -> list[str]:
    """The command that runs a program of an unpacked tree with the libraries of that tree.

    This machine's own may be of another release, or missing.
    """
    libraries = ":".join(str(tree / folder) for folder in _LIBRARIES)
    loader = [str(tree / "lib64/ld-linux-x86-64.so.2"), "--library-path", libraries]
    file = tree / program
    if file.is_symlink():  # may be absolute: of the tree
        file = tree / os.path.normpath(Path("/", program).parent / file.readlink()).lstrip("/")
    name = ["--argv0", program, str(file)]  # one that has several names asks which it is
    return [*loader, *name, *map(str, arguments)]


def run(
    program: str, *arguments: str | Path, tree: Path = _TREE, **environment: str
) -> subprocess.CompletedProcess[Any]:
    """Run such a program. Raises CalledProcessError, whose output has been shown."""
    return subprocess.run(
        command(program, *arguments, tree=tree), check=True, env=os.environ | environment
    )


def disk_image(tree: Path, target: Path, free_bytes: int = 0) -> None:
    """Write the files of a folder to an ext4 image that has room for as many bytes more."""
    size = sum(file.lstat().st_size + 4096 for file in tree.rglob("*"))
    blocks = (size + size // 8 + free_bytes) // 4096 + 4096
    partial = target.with_name(f"{target.name}.partial")
    partial.unlink(missing_ok=True)
    options = ["-q", "-t", "ext4", "-b", "4096", "-m", "0", "-O", "^has_journal", "-d", tree]
    run("sbin/mke2fs", *options, partial, str(blocks), MKE2FS_CONFIG=str(_TREE / "etc/mke2fs.conf"))
    partial.rename(target)
