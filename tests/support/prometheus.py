"""A real Prometheus server that scrapes the targets of a test."""

import http.client
import json
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

from requirements_here import require

from support.debian import program
from support.namespace import Namespace
from support.processes import end
from support.waiting import DEADLINE


def needed(package: str, name: str) -> str:
    """Return the path of a program; without it, end the test."""
    path = program(package, name)
    require(path, f"{name}: python tests/support/debian.py {package}")
    assert path is not None
    return path


class PrometheusApi:
    """The HTTP API of Prometheus, of a server in a namespace."""

    def __init__(self, namespace: Namespace, port: int) -> None:
        self.namespace = namespace
        self.port = port

    def answer(self, path: str, **arguments: str) -> Any:
        """The whole API answer, also of a refusal; None while it cannot be had."""
        with self.namespace.enter():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
            try:
                connection.request("GET", f"/api/v1/{path}?{urlencode(arguments)}")
                return json.load(connection.getresponse())
            except (OSError, ValueError):
                return None
            finally:
                connection.close()

    def query(self, path: str, **arguments: str) -> Any:
        """The data of an API answer; None while it cannot be had."""
        return (self.answer(path, **arguments) or {}).get("data")

    def value(self, expression: str, at: float | None = None) -> float | None:
        """The single value of a query, now or at a time that is over."""
        time = {} if at is None else {"time": f"{at:.3f}"}
        data = self.query("query", query=expression, **time)
        results = data["result"] if data else []
        return float(results[0]["value"][1]) if len(results) == 1 else None


class Prometheus(PrometheusApi):
    """A server in a namespace that scrapes ports of 127.0.0.1 there, by job. Use it in a with.

    `settings` are further top-level keys of its configuration, or other ones.
    """

    def __init__(
        self,
        package: str,
        folder: Path,
        namespace: Namespace,
        jobs: Mapping[str, Sequence[int]],
        interval: str = "1s",
        settings: Mapping[str, Any] | None = None,
        flags: Sequence[str] = (),
    ) -> None:
        binary = needed(package, "prometheus")
        scrapes = [
            {
                "job_name": job,
                "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in ports]}],
            }
            for job, ports in jobs.items()
        ]
        times = {"scrape_interval": interval, "scrape_timeout": interval}
        config = folder / "prometheus.yml"
        document = {"global": times, "scrape_configs": scrapes, **(settings or {})}
        config.write_text(json.dumps(document))
        with namespace.enter(), socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            super().__init__(namespace, free.getsockname()[1])
        self.log = (folder / "log").open("w")
        self.process = subprocess.Popen(
            [
                *("ip", "netns", "exec", namespace.name, binary),
                f"--config.file={config}",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{self.port}",
                *flags,
            ],
            stderr=self.log,
            stdout=self.log,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the server."""
        end(self.process)
        self.log.close()
