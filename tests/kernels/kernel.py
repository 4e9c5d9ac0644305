"""Debian's kernels: what it takes to boot one."""

import lzma
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from kernels import tools
from support.apt import Packages

#: Of the packages that linux-image-amd64 stands for, those with files to boot.
_WANTED = re.compile(r"linux-(image|base|binary|modules)-\d.*-amd64")
#: What it takes to find and mount the disks; some are part of some kernels. ext4 asks for its
#: checksum by name, so that no list of its dependencies has that.
_MODULES = ("virtio_pci", "virtio_blk", "crc32c_generic", "ext4")
_INIT = Path(__file__).with_name("initramfs.sh")


class Kernel(NamedTuple):
    """A kernel in the cache."""

    release: str
    image: Path
    #: A disk with its modules, for /lib/modules.
    modules: Path
    #: What takes the guest from the kernel to its disks.
    initramfs: Path


def provide(name: str, *suites: str) -> Kernel:
    """The newest kernel of these suites when it was fetched, kept under a name."""
    home = tools.HOME / f"kernel-{name}-amd64"
    tree = home / "tree"
    if not tree.exists():
        packages = Packages(*suites)
        names = packages.dependencies("linux-image-amd64")
        packages.unpack([name for name in names if _WANTED.fullmatch(name)], tree)
    if not (tree / "lib").exists():  # newer ones are in /usr, where depmod does not look
        (tree / "lib").symlink_to("usr/lib")
    (modules,) = tree.glob("lib/modules/*")
    (image,) = [*tree.glob("boot/vmlinuz-*"), *modules.glob("vmlinuz")]
    disk = home / "modules.img"
    if not disk.exists():
        tools.run("sbin/depmod", "-b", tree, modules.name)
        tools.disk_image(modules.parent, disk)
    initramfs = home / "initramfs"
    initramfs.write_bytes(b"".join(_initramfs(modules)))
    return Kernel(modules.name, image, disk, initramfs)


def _modules_to_load(folder: Path) -> Iterator[Path]:
    """The files of `_MODULES`, after those that they need."""
    needed = {}
    for line in (folder / "modules.dep").read_text().splitlines():
        file, _, others = line.partition(":")
        needed[Path(file).name.partition(".")[0]] = [file, *others.split()]
    seen = set()
    for name in _MODULES:
        for file in reversed(needed.get(name, [])):
            if file not in seen:
                yield folder / file
                seen.add(file)


def _initramfs(modules: Path) -> Iterator[bytes]:
    """The members of the archive: a shell, a script, and modules in their order of loading."""
    yield _member("bin", 0o040755)
    yield _member("bin/busybox", 0o100755, tools.BUSYBOX.read_bytes())
    yield _member("init", 0o100755, _INIT.read_bytes())
    yield _member("modules", 0o040755)
    for number, file in enumerate(_modules_to_load(modules)):
        content = file.read_bytes()
        if file.suffix == ".xz":
            content = lzma.decompress(content)
        yield _member(f"modules/{number}.ko", 0o100644, content)
    yield _member("TRAILER!!!", 0)


def _member(name: str, mode: int, content: bytes = b"") -> bytes:
    """A member of a cpio archive.

    Source: https://docs.kernel.org/driver-api/early-userspace/buffer-format.html
    """
    path = name.encode() + b"\0"
    # inode, mode, owner, group, links, time, size, device (4), size of the name, checksum
    numbers = (0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(path), 0)
    header = b"070701" + b"".join(b"%08x" % number for number in numbers) + path
    return header + bytes(-len(header) % 4) + content + bytes(-len(content) % 4)
