"""The agent as a Windows service: install, remove, start, stop; and run, for Windows' use.

A service has no standard error, so its log goes to the Application event log.

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
from exporter.agent.agent import Load
from exporter.agent.signals import SignalQueue
from exporter.errors import SettingsError
from exporter.version import NAME

log = logging.getLogger(__name__)

DISPLAY_NAME = "IP interface exporter"
DESCRIPTION = "Publishes every change of this computer's IP interfaces as metrics."
#: How long `command` waits until the service has started or stopped.
_WAIT_SECONDS = 30
#: The service is in the requested state: ERROR_SERVICE_ALREADY_RUNNING, ERROR_SERVICE_NOT_ACTIVE.
_ALREADY = (1056, 1062)
_NOT_STARTED_BY_WINDOWS = 1063  # ERROR_FAILED_SERVICE_CONTROLLER_CONNECT


def command(action: str, load: Load, flags: Sequence[str]) -> int:
    """Run `action` (one of `SERVICE_ACTIONS`) and return the exit code.

    `install` sets `flags` as the flags of the service. Raises SettingsError, and OSError with
    Windows' text.
    """
    try:
        match action:
            case "install":
                load()  # fail now if the service could not start
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
            raise OSError(f"only Windows can call service run: use {NAME} service start") from None
        if error.winerror not in _ALREADY:
            raise OSError(f"service {action}: {error.strerror}") from None
    print(f"service {NAME}: {action} done")
    return 0


def _wait_for(status: int) -> None:
    win32serviceutil.WaitForServiceStatus(NAME, status, _WAIT_SECONDS)


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
    # A virtual environment's python.exe starts the real interpreter as a child process, but
    # Windows talks only to the process that it started itself.
    return str(getattr(sys, "_base_executable", sys.executable))


def _module() -> list[str]:
    """Return the arguments that run this program, also if it is in a virtual environment."""
    packages = Path(__file__).parents[2]
    folders = [str(packages), *(f for f in site.getsitepackages() if Path(f) != packages)]
    code = (
        f"import site, sys; [site.addsitedir(f) for f in {folders!r}]; "
        "from exporter.cli import main; sys.exit(main())"
    )
    return ["-c", code]


def _run(load: Load) -> None:
    WindowsService.load = load
    servicemanager.Initialize(NAME, servicemanager.__file__)
    servicemanager.PrepareToHostSingle(WindowsService)
    servicemanager.StartServiceCtrlDispatcher()  # type: ignore[no-untyped-call]


class WindowsService(win32serviceutil.ServiceFramework):
    """The service as Windows sees it. Windows calls `SvcDoRun` and `SvcStop` in two threads."""

    _svc_name_ = NAME
    _svc_display_name_ = DISPLAY_NAME
    #: Set before Windows creates the instance, whose arguments are Windows' own.
    load: Load

    def __init__(self, args: Sequence[str]) -> None:
        super().__init__(args)
        self._requests = SignalQueue()

    def SvcStop(self) -> None:  # noqa: N802 (the framework's name)
        """Request a stop; Windows is told when it is complete."""
        self.ReportServiceStatus(win32service.SERVICE_STOP_PENDING)
        self._requests.put("service stop")

    SvcShutdown = SvcStop

    def SvcDoRun(self) -> None:  # noqa: N802 (the framework's name)
        """Run until `SvcStop`."""
        handler = _EventLog()
        handler.setFormatter(logs.LogfmtFormatter())
        logging.getLogger().addHandler(handler)
        try:
            run.run_agent(WindowsService.load, self._requests)
        except (OSError, SettingsError) as error:
            log.error("Cannot start: %s", error)  # noqa: TRY400 (no traceback)
            self.ReportServiceStatus(win32service.SERVICE_STOPPED, win32ExitCode=1)


class _EventLog(logging.Handler):
    """Writes log records to the Application event log."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record. Never raises."""
        try:
            text = self.format(record)
            if record.levelno >= logging.ERROR:
                servicemanager.LogErrorMsg(text)
            elif record.levelno >= logging.WARNING:
                servicemanager.LogWarningMsg(text)
            else:
                servicemanager.LogInfoMsg(text)
        except Exception:  # noqa: BLE001 (there is nowhere left to report it)
            self.handleError(record)
