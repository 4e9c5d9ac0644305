"""The agent as a Windows service: install, remove, start, stop; and run, which Windows calls.

Standard error of a service leads nowhere, so the log goes to the Application event log.

Source: https://learn.microsoft.com/windows/win32/services/about-services
"""

from __future__ import annotations

import logging
import site
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pywintypes
import servicemanager
import win32service
import win32serviceutil

from exporter import logs
from exporter.agent import run
from exporter.agent.signals import Wishes
from exporter.errors import SettingsError
from exporter.version import NAME

log = logging.getLogger(__name__)

DISPLAY_NAME = "IP interface exporter"
DESCRIPTION = "Publishes every change of this computer's IP interfaces as metrics."
_SECONDS = 30
#: It is as was wanted: ERROR_SERVICE_ALREADY_RUNNING, ERROR_SERVICE_NOT_ACTIVE.
_ALREADY = (1056, 1062)
_NOT_STARTED_BY_WINDOWS = 1063  # ERROR_FAILED_SERVICE_CONTROLLER_CONNECT


def command(action: str, load: run.Load, flags: Sequence[str]) -> int:
    """Do it; `install` gives the service these flags. The exit code.

    Raises OSError with Windows' own words, and SettingsError.
    """
    try:
        match action:
            case "install":
                load()  # what could not start is not installed
                _install(flags)
            case "remove":
                win32serviceutil.RemoveService(NAME)
            case "start":
                win32serviceutil.StartService(NAME)
                _wait_for(win32service.SERVICE_RUNNING)
            case "stop":
                win32serviceutil.StopService(NAME)
                _wait_for(win32service.SERVICE_STOPPED)
            case _:
                _run(load)
                return 0
    except pywintypes.error as error:
        if error.winerror == _NOT_STARTED_BY_WINDOWS:
            raise OSError(f"only Windows runs this: try {NAME} service start") from None
        if error.winerror not in _ALREADY:
            raise OSError(f"service {action}: {error.strerror}") from None
    print(f"service {NAME}: {action} done")
    return 0


def _wait_for(status: int) -> None:
    win32serviceutil.WaitForServiceStatus(NAME, status, _SECONDS)


def _install(flags: Sequence[str]) -> None:
    arguments = [*_module(), "service", "run", *flags]
    win32serviceutil.InstallService(
        f"{__name__}.WindowsService",
        NAME,
        DISPLAY_NAME,
        startType=win32service.SERVICE_AUTO_START,
        exeName=_interpreter(),
        exeArgs=subprocess.list2cmdline(arguments),
        description=DESCRIPTION,
    )


def _interpreter() -> str:
    # A virtual environment's python.exe only starts another process, and Windows insists on
    # talking to the one that it started itself.
    return str(getattr(sys, "_base_executable", sys.executable))


def _module() -> list[str]:
    """What makes the interpreter run us, also from within a virtual environment."""
    packages = Path(__file__).parents[2]
    folders = [str(packages), *(f for f in site.getsitepackages() if Path(f) != packages)]
    code = (
        f"import site, sys; [site.addsitedir(f) for f in {folders!r}]; "
        "from exporter.cli import main; sys.exit(main())"
    )
    return ["-c", code]


def _run(load: run.Load) -> None:
    WindowsService.load = load
    servicemanager.Initialize(NAME, servicemanager.__file__)
    servicemanager.PrepareToHostSingle(WindowsService)
    servicemanager.StartServiceCtrlDispatcher()  # type: ignore[no-untyped-call]


class WindowsService(win32serviceutil.ServiceFramework):
    """What Windows talks to. Thread: `SvcDoRun` in one of Windows' own, `SvcStop` in another."""

    _svc_name_ = NAME
    _svc_display_name_ = DISPLAY_NAME
    load: run.Load

    def __init__(self, args: Sequence[str]) -> None:
        super().__init__(args)
        self._wishes = Wishes()

    def SvcStop(self) -> None:  # noqa: N802 - the framework's name
        """Windows wants it to stop; it says so when it has."""
        self.ReportServiceStatus(win32service.SERVICE_STOP_PENDING)
        self._wishes.put("service stop")

    SvcShutdown = SvcStop

    def SvcDoRun(self) -> None:  # noqa: N802 - the framework's name
        """Run until `SvcStop`."""
        handler = _EventLog()
        handler.setFormatter(logs.LogfmtFormatter())
        logging.getLogger().addHandler(handler)
        try:
            run.run_agent(WindowsService.load, self._wishes)
        except (OSError, SettingsError) as error:
            log.error("Cannot start: %s", error)  # noqa: TRY400 - one clear line
            self.ReportServiceStatus(win32service.SERVICE_STOPPED, win32ExitCode=1)


class _EventLog(logging.Handler):
    """Puts records into the Application event log."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; never raises."""
        try:
            text = self.format(record)
            if record.levelno >= logging.ERROR:
                servicemanager.LogErrorMsg(text)
            elif record.levelno >= logging.WARNING:
                servicemanager.LogWarningMsg(text)
            else:
                servicemanager.LogInfoMsg(text)
        except Exception:  # noqa: BLE001 - there is nobody left to tell
            self.handleError(record)
