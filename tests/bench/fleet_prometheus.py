"""A Prometheus over a made-up past, and what a query costs it."""

import json
import socket
import subprocess
import tempfile
from collections.abc import Iterable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

from processes import at_rest, usage
from support.prometheus import needed
from support.waiting import wait_until

#: A cost is the mean of so many runs, or of so much CPU time.
_RUNS, _ENOUGH_SECONDS = 10, 0.3


class FleetPrometheus:
    """A server that scrapes nothing and has what `add` wrote. Use it in a with."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def add(self, openmetrics: Path) -> None:
        """Take the samples of a file with time stamps, which is gone then."""
        self._stop()
        promtool = needed("promtool-3", "promtool")
        command = [promtool, "tsdb", "create-blocks-from", "--max-block-duration=31d"]
        command += ["openmetrics", str(openmetrics), str(self._data)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        openmetrics.unlink()
        self._start()

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _start(self) -> None:
        config = self._folder / "prometheus.yml"
        config.write_text("{}")
        with (self._folder / "log").open("w") as log:
            self._process = subprocess.Popen(
                [
                    needed("prometheus-3", "prometheus"),
                    f"--config.file={config}",
                    f"--storage.tsdb.path={self._data}",
                    "--storage.tsdb.retention.time=10y",
                    "--no-storage.tsdb.allow-overlapping-compaction",
                    "--query.max-samples=1000000000",
                    f"--web.listen-address=127.0.0.1:{self._port}",
                ],
                stdout=log,
                stderr=log,
            )
        wait_until(self._ready, message="Prometheus is ready")

    def _ready(self) -> bool:
        try:
            return self._get("/-/ready")[0] == 200
        except OSError:
            return False

    def _stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(60)
            self._process = None

    def _get(self, path: str) -> tuple[int, bytes]:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=600)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def ask(self, path: str, **arguments: object) -> list[dict[str, Any]]:
        """The result of ``query`` or ``query_range``. Raises ValueError with its message."""
        answer = json.loads(self._get(f"/api/v1/{path}?{urlencode(arguments)}")[1])
        if answer["status"] != "success":
            raise ValueError(f"{answer['error']}: {arguments}")
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def rest(self) -> None:
        """Wait until the server has nothing left to do."""
        assert self._process
        at_rest(self._process.pid)

    def cpu_seconds(self, path: str, **arguments: object) -> float:
        """CPU time that one such query takes the server."""
        assert self._process
        self.ask(path, **arguments)
        before, runs, used = usage(self._process.pid).cpu, 0, 0.0
        while runs < _RUNS and used < _ENOUGH_SECONDS:
            self.ask(path, **arguments)
            runs += 1
            used = usage(self._process.pid).cpu - before
        return used / runs


def write_flat(file: Path, name: str, result: Iterable[dict[str, Any]], times: range) -> int:
    """Append series that had the values of an instant query at all these times, as OpenMetrics.

    A value that is a Unix time follows the time. Returns how many samples were written.
    """
    written = 0
    now = times[-1]
    with file.open("a") as out:
        for series in result:
            labels = {**series["metric"]}
            labels.pop("__name__", None)
            text = ",".join(f"{key}={json.dumps(value)}" for key, value in labels.items())
            value = series["value"][1]
            follows = abs(float(value) - now) < 60
            out.writelines(f"{name}{{{text}}} {t if follows else value} {t}\n" for t in times)
            written += len(times)
    return written


def temporary_folder() -> "tempfile.TemporaryDirectory[str]":
    """A folder for a server's data; large ones need some gigabytes for a while."""
    return tempfile.TemporaryDirectory(prefix="ip-interface-exporter-fleet-")
