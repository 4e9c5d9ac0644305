"""A guest: boots a kernel under qemu, runs tests there, and brings back their report.

It has no network. What goes in is on disks that are not written to; what comes out is a tar
archive on one that is.
"""

import io
import os
import shlex
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from kernels import tools
from kernels.kernel import Kernel

_PROJECT = Path(__file__).parents[2]
_MEMORY_MIB = 2048
_RESULTS_BYTES = 64 << 20
#: What the guest may take to boot and to end, in seconds.
_BOOT_SECONDS = 120
#: KVM runs any guest with these; with PVM's module it runs kernels made for that only.
_KVM_MODULES = ("kvm_intel", "kvm_amd")

#: The clock: with an emulated processor's own counter one guest ran 15 times too fast. The
#: mitigations protect nobody here, and cost most where the processor is emulated.
_KERNEL_ARGUMENTS = (
    "console=ttyS0 loglevel=4 panic=-1 clocksource=hpet tsc=unstable mitigations=off"
)


class Work(NamedTuple):
    """What a guest does."""

    #: Arguments of pytest.
    pytest: Sequence[str]
    #: How long ``tests/random`` runs after the tests, with every module that the tests loaded.
    random_minutes: float = 0
    #: Limit for each of the two, in seconds.
    limit: float = 1800
    #: Of the tests' deadlines.
    deadline_factor: float = 1


class Outcome(NamedTuple):
    """What came out of a guest; the report is empty if the guest did not end as it should."""

    kernel: str
    python: str
    #: Of all tests that ran, as JUnit has it.
    report: bytes
    #: Of pytest; 124 if its time was over, -1 if the guest did not come so far.
    exit_code: int
    #: What ``tests/random`` printed and its exit code, which is -1 if it did not end; ``None``:
    #: it was not asked to run.
    random: tuple[str, int] | None = None


def has_kvm() -> bool:
    """Whether the processor itself can run the guest."""
    loaded = any(Path("/sys/module", name).exists() for name in _KVM_MODULES)
    return loaded and os.access("/dev/kvm", os.R_OK | os.W_OK)


def run(kernel: Kernel, root: Path, work: Work, console: Path) -> Outcome:
    """Do the work in a guest. `console` becomes all that the guest wrote."""
    with tempfile.TemporaryDirectory(prefix="ip-interface-exporter-") as folder:
        project, results = Path(folder, "project.tar"), Path(folder, "results")
        _pack(project, _orders(work))
        results.touch()
        os.truncate(results, _RESULTS_BYTES)
        disks = (f"{root},snapshot=on", f"{kernel.modules},readonly=on", f"{project},readonly=on")
        _boot(kernel, (*disks, str(results)), _BOOT_SECONDS + 2 * work.limit, console)
        files = _unpack(results)
    random = files.get("random", ""), int(files.get("random.exit", -1))
    return Outcome(
        files.get("kernel", kernel.release).strip(),
        files.get("python", "").strip(),
        files.get("report.xml", "").encode(),
        int(files.get("pytest.exit", -1)),
        random if work.random_minutes else None,
    )


def _orders(work: Work) -> str:
    """What the guest's shell does."""
    limit = f"timeout --signal=INT --kill-after=60 {work.limit:.0f}"
    report = "--junitxml=/tmp/report/report.xml"
    pytest = shlex.join(["-v", "--color=no", "-p", "no:cacheprovider", report, *work.pytest])
    random = f"{limit} python3 tests/random --minutes {work.random_minutes}"
    return (
        f"export DEADLINE_FACTOR={work.deadline_factor}\n"
        f"{limit} python3 -m pytest {pytest} < /dev/null\n"
        "echo $? > /tmp/report/pytest.exit\n"
        f"{'#' * (not work.random_minutes)}"
        f"{{ {random}; echo $? > /tmp/report/random.exit; }} 2>&1 | tee /tmp/report/random\n"
    )


def _pack(target: Path, orders: str) -> None:
    """Write what the guest reads: the files of the project as they are now, and its orders."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=_PROJECT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    member = tarfile.TarInfo("orders")
    member.size = len(orders.encode())
    with tarfile.open(target, "w") as archive:
        for name in listing.rstrip("\0").split("\0"):
            if (_PROJECT / name).exists():  # else deleted, and not committed yet
                archive.add(_PROJECT / name, f"project/{name}")
        archive.addfile(member, io.BytesIO(orders.encode()))


def _unpack(results: Path) -> dict[str, str]:
    """The files that the guest wrote, by name; none if it did not come so far."""
    with results.open("rb") as file:
        if file.read(1) == b"\0":
            return {}
    files = {}
    with tarfile.open(results, "r:") as archive:
        for member in archive:
            if content := archive.extractfile(member):
                files[Path(member.name).name] = content.read().decode()
    return files


def _boot(kernel: Kernel, disks: Sequence[str], seconds: float, console: Path) -> None:
    """Run the guest until it ends itself, or for so many seconds."""
    options = ["-M", "pc", "-m", str(_MEMORY_MIB), "-smp", "2", "-no-reboot"]
    options += ["-accel", "kvm" if has_kvm() else "tcg,thread=multi"]
    options += ["-cpu", "max", "-nodefaults", "-display", "none", "-serial", "stdio"]
    options += ["-kernel", str(kernel.image), "-initrd", str(kernel.initramfs)]
    options += ["-append", _KERNEL_ARGUMENTS]
    for disk in disks:
        options += ["-drive", f"if=virtio,format=raw,file={disk}"]
    command = tools.command("usr/bin/qemu-system-x86_64", *tools.QEMU_OPTIONS, *options)
    with (
        console.open("wb") as output,
        subprocess.Popen(
            ["nice", *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | tools.QEMU_ENVIRONMENT,
        ) as process,
    ):
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            output.write(b"\nended from outside: not within %d s\n" % seconds)
        finally:
            process.kill()
