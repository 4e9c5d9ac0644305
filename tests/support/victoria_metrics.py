"""A real VictoriaMetrics, to which a Prometheus writes, as in many fleets."""

import socket
import subprocess
from pathlib import Path
from typing import Any, Self

from support.namespace import Namespace
from support.processes import end
from support.prometheus import PrometheusApi, needed


class VictoriaMetrics(PrometheusApi):
    """A server in a namespace. Use it in a with."""

    def __init__(self, folder: Path, namespace: Namespace) -> None:
        with namespace.enter(), socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            super().__init__(namespace, free.getsockname()[1])
        self.log = (folder / "log").open("w")
        self.process = subprocess.Popen(
            [
                *("ip", "netns", "exec", namespace.name),
                needed("victoria-metrics", "victoria-metrics"),
                f"-storageDataPath={folder}/data",
                f"-httpListenAddr=127.0.0.1:{self.port}",
                # Otherwise the newest half minute is hidden.
                "-search.latencyOffset=0s",
                # A scrape that comes late on a busy machine is no gap.
                "-search.minStalenessInterval=10s",
            ],
            stdout=self.log,
            stderr=self.log,
        )

    @property
    def remote_write(self) -> list[dict[str, Any]]:
        """The section of Prometheus' configuration that writes everything here, soon."""
        url = f"http://127.0.0.1:{self.port}/api/v1/write"
        # One shard: once a later sample is there, so are all earlier ones.
        queue = {"batch_send_deadline": "200ms", "min_shards": 1, "max_shards": 1}
        return [{"url": url, "queue_config": queue}]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        end(self.process)
        self.log.close()
