"""The agent as a Windows service: install, remove, start, stop; and run, for Windows' use.

A service has no standard error, so its log goes to the Application event log. The reason of a
failed start is kept in the registry as well: ``service start`` prints it.

Source: https://learn.microsoft.com/windows/win32/services/about-services
"""

from __future__ import annotations

import logging
import site
import subprocess
import sys
import threading
import time
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
from exporter.bindings.winerror import (
    ERROR_INVALID_HANDLE,
    ERROR_NO_SYSTEM_RESOURCES,
    ERROR_NOT_ENOUGH_MEMORY,
    IpHelperError,
)
from exporter.errors import SettingsError, reason
from exporter.version import NAME

log = logging.getLogger(__name__)

DISPLAY_NAME = "IP interface exporter"
DESCRIPTION = "Publishes every change of this computer's IP interfaces as metrics."
#: The services behind iphlpapi.dll: Network Store Interface and TCP/IP.
DEPENDENCIES = ("nsi", "Tcpip")
#: How long `command` waits until the service has started or stopped, and between two looks.
_WAIT_SECONDS, _POLL_SECONDS = 90.0, 0.25
#: How long a start tries again after an error that may be temporary, and between two tries.
_START_SECONDS, _RETRY_SECONDS = 60.0, 1.0
_TEMPORARY = (ERROR_INVALID_HANDLE, ERROR_NOT_ENOUGH_MEMORY, ERROR_NO_SYSTEM_RESOURCES)
#: Seconds until Windows restarts the service after its first, second and later failures.
_RESTART_SECONDS = (5, 30, 60)
#: Seconds without a failure after which Windows counts failures from 0 again.
_RESET_SECONDS = 24 * 60 * 60
#: The registry value that keeps the reason of a failed start.
_STOP_REASON = "StopReason"
#: The service is in the requested state: ERROR_SERVICE_ALREADY_RUNNING, ERROR_SERVICE_NOT_ACTIVE.
_ALREADY = (1056, 1062)
_INVALID_LEVEL = 124  # ERROR_INVALID_LEVEL, of Wine
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
                _start()
            case "stop":
                win32serviceutil.StopService(NAME)
                _wait_while(win32service.SERVICE_STOP_PENDING)
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


def _start() -> None:
    """Start the service and wait until it serves. Raises OSError with the reason if it stops."""
    win32serviceutil.SetServiceCustomOption(NAME, _STOP_REASON, "")
    win32serviceutil.StartService(NAME)
    if _wait_while(win32service.SERVICE_START_PENDING) != win32service.SERVICE_RUNNING:
        why = win32serviceutil.GetServiceCustomOption(NAME, _STOP_REASON)
        raise OSError(f"service start: {why or 'see the Application event log'}")


def _wait_while(pending: int) -> int:
    """Wait until the service leaves the state `pending`, and return its new state."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while (state := int(win32serviceutil.QueryServiceStatus(NAME)[1])) == pending:
        if time.monotonic() > deadline:
            raise OSError(f"service {NAME}: no result after {_WAIT_SECONDS:g} s")
        time.sleep(_POLL_SECONDS)
    return state


def _install(flags: Sequence[str]) -> None:
    win32serviceutil.InstallService(
        f"{__name__}.WindowsService",
        NAME,
        DISPLAY_NAME,
        startType=win32service.SERVICE_AUTO_START,
        serviceDeps=list(DEPENDENCIES),
        exeName=_interpreter(),
        exeArgs=subprocess.list2cmdline(_arguments(flags)),
        description=DESCRIPTION,
    )
    _restart_after_failures()


def _restart_after_failures() -> None:
    """Make Windows restart the service, also after a failure that is not a crash.

    Source: https://learn.microsoft.com/windows/win32/api/winsvc/ns-winsvc-service_failure_actionsw
    """
    restart = win32service.SC_ACTION_RESTART
    failure_actions = {
        "ResetPeriod": _RESET_SECONDS,
        "RebootMsg": "",
        "Command": "",
        "Actions": [(restart, 1000 * seconds) for seconds in _RESTART_SECONDS],
    }
    manager = win32service.OpenSCManager(None, None, win32service.SC_MANAGER_CONNECT)
    service = win32service.OpenService(manager, NAME, win32service.SERVICE_ALL_ACCESS)
    for info, value in (
        (win32service.SERVICE_CONFIG_FAILURE_ACTIONS, failure_actions),
        (win32service.SERVICE_CONFIG_FAILURE_ACTIONS_FLAG, True),
    ):
        try:
            win32service.ChangeServiceConfig2(service, info, value)
        except pywintypes.error as error:
            if error.winerror != _INVALID_LEVEL:
                raise
            log.warning("This system cannot restart the service after every failure")


def _interpreter() -> str:
    # A virtual environment's python.exe starts the real interpreter as a child process, but
    # Windows talks only to the process that it started itself.
    return str(getattr(sys, "_base_executable", sys.executable))


def _arguments(flags: Sequence[str]) -> list[str]:
    """Return the arguments that run this program, also if it is in a virtual environment.

    The flags are part of the code: Windows expands ``%NAME%`` in the command line of a service
    and knows no way to quote a percent sign, so the code writes it as an escape.
    """
    packages = Path(__file__).parents[2]
    folders = [str(packages), *(f for f in site.getsitepackages() if Path(f) != packages)]
    code = (
        f"import site, sys; [site.addsitedir(f) for f in {folders!r}]; "
        f"from exporter.cli import main; sys.exit(main({['service', 'run', *flags]!r}))"
    )
    return ["-c", code.replace("%", r"\x25")]


def _run(load: Load) -> None:
    WindowsService.load = load
    servicemanager.Initialize(NAME, servicemanager.__file__)
    servicemanager.PrepareToHostSingle(WindowsService)
    servicemanager.StartServiceCtrlDispatcher()  # type: ignore[no-untyped-call]


class WindowsService(win32serviceutil.ServiceFramework):
    """The service as Windows sees it. Windows calls `SvcRun` and `SvcStop` in two threads."""

    _svc_name_ = NAME
    _svc_display_name_ = DISPLAY_NAME
    #: Set before Windows creates the instance, whose arguments are Windows' own.
    load: Load

    def __init__(self, args: Sequence[str]) -> None:
        super().__init__(args)
        self._requests = SignalQueue()
        self._stopping = threading.Event()

    def SvcStop(self) -> None:  # noqa: N802 (the framework's name)
        """Request a stop; Windows is told when it is complete."""
        self.ReportServiceStatus(win32service.SERVICE_STOP_PENDING)
        self._stopping.set()
        self._requests.put("service stop")

    SvcShutdown = SvcStop

    def SvcRun(self) -> None:  # noqa: N802 (the framework's name)
        """Run until `SvcStop`. The state is START_PENDING until the agent listens.

        After an exception the framework reports an exit code, and Windows restarts the service.
        """
        handler = _EventLog()
        handler.setFormatter(logs.LogfmtFormatter())
        logging.getLogger().addHandler(handler)
        try:
            self._run_agent()
        except Exception as error:
            known = isinstance(error, OSError | SettingsError)
            why = reason(error) if known else f"{type(error).__name__}: {error}"
            log.error("Stopped: %s", why, exc_info=not known)  # noqa: TRY400 (a defect only)
            win32serviceutil.SetServiceCustomOption(NAME, _STOP_REASON, why)
            raise
        self.ReportServiceStatus(win32service.SERVICE_STOP_PENDING)

    def _run_agent(self) -> None:
        """Run the agent; while it starts, try again after errors that may be temporary."""
        deadline = time.monotonic() + _START_SECONDS
        while not self._stopping.is_set():
            self.ReportServiceStatus(win32service.SERVICE_START_PENDING, waitHint=10_000)
            try:
                run.run_agent(WindowsService.load, self._requests, self._report_running)
            except IpHelperError as error:
                if error.winerror not in _TEMPORARY or time.monotonic() > deadline:
                    raise
                logs.event(log, logging.WARNING, "Starting failed, trying again", error=error)
            else:
                return
            self._requests = SignalQueue()  # the agent has closed the last one
            self._stopping.wait(_RETRY_SECONDS)

    def _report_running(self) -> None:
        self.ReportServiceStatus(win32service.SERVICE_RUNNING)


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
