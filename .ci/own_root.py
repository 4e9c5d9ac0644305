"""Runs a program with this chroot's / as the root of a mount namespace of its own.

``python3 own_root.py PROGRAM ARGUMENT...`` needs root. In a chroot there are no user namespaces,
without which a unit of systemd with PrivateUsers= does not start; and ip-netns(8) needs a / that
is a mount point. All mounts are private and end with the program.

Source: https://man7.org/linux/man-pages/man2/pivot_root.2.html, user_namespaces(7)
"""

import ctypes
import os
import sys
import tempfile

_CLONE_NEWNS = 0x00020000
_MNT_DETACH = 2
_MS_BIND, _MS_REC, _MS_SLAVE = 1 << 12, 1 << 14, 1 << 19
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> None:
    if result:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def main() -> None:
    """Become the program. Raises OSError."""
    pivot_root = _SYS_PIVOT_ROOT[os.uname().machine]
    _checked(libc.unshare(_CLONE_NEWNS))
    root = tempfile.mkdtemp()
    _checked(libc.mount(b"/", root.encode(), None, _MS_BIND | _MS_REC, None))
    # What is unmounted here stays mounted elsewhere.
    _checked(libc.mount(None, root.encode(), None, _MS_SLAVE | _MS_REC, None))
    folder = os.getcwd()
    inside = os.open(root, os.O_PATH | os.O_DIRECTORY)
    # Entering the namespace again leaves the chroot: only its root can be exchanged.
    namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    _checked(libc.setns(namespace, _CLONE_NEWNS))
    os.fchdir(inside)
    _checked(libc.syscall(pivot_root, b".", b"."))
    _checked(libc.umount2(b".", _MNT_DETACH))
    os.chdir("/")
    os.rmdir(root)
    os.chdir(folder)
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - it is what the caller asks for


main()
