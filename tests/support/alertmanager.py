"""A real Alertmanager, and a webhook that receives its notifications."""

import http.client
import json
import socket
import subprocess
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from support.namespace import Namespace
from support.processes import end
from support.prometheus import needed
from support.waiting import DEADLINE


class Webhook:
    """Receives what Alertmanager sends, in a namespace. Use it as a context manager."""

    def __init__(self, namespace: Namespace) -> None:
        #: Every alert of every notification, in the order in which they came.
        self.alerts: list[dict[str, Any]] = []
        alerts = self.alerts

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                alerts.extend(json.loads(body)["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        with namespace.enter():  # the socket belongs there, whichever thread accepts
            self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, name="webhook")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def named(self, alertname: str, status: str) -> list[dict[str, Any]]:
        """The alerts of a name that came as ``firing``, or as ``resolved``."""
        alerts = list(self.alerts)
        return [
            a for a in alerts if a["labels"]["alertname"] == alertname and a["status"] == status
        ]


# Debian's build looks for its templates in /usr/share, where nothing was installed. `ip netns
# exec` gives each program mounts of its own: there, /usr/share is that of the unpacked package.
_WITH_TEMPLATES = 'mount --bind "$0" /usr/share && exec "$@"'


class Alertmanager:
    """A server in a namespace with this configuration. Use it as a context manager."""

    def __init__(
        self, folder: Path, namespace: Namespace, configuration: Mapping[str, Any]
    ) -> None:
        binary = needed("alertmanager", "prometheus-alertmanager")
        share = Path(binary).parents[1] / "share"
        self.namespace = namespace
        config = folder / "alertmanager.yml"
        config.write_text(json.dumps(configuration))
        with namespace.enter(), socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = (folder / "alertmanager.log").open("w")
        self.process = subprocess.Popen(
            [
                *("ip", "netns", "exec", namespace.name),
                *("sh", "-c", _WITH_TEMPLATES, str(share), binary),
                f"--config.file={config}",
                f"--storage.path={folder}/alertmanager",
                f"--web.listen-address=127.0.0.1:{self.port}",
                "--cluster.listen-address=",
            ],
            stderr=self.log,
            stdout=self.log,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        end(self.process)
        self.log.close()

    def alerts(self, alertname: str) -> list[dict[str, Any]]:
        """Return the alerts of a name, muted or not; none while it does not answer."""
        with self.namespace.enter():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
            try:
                # /api/v2/alerts does not show which time interval mutes an alert.
                connection.request("GET", "/api/v2/alerts/groups")
                groups: list[dict[str, Any]] = json.load(connection.getresponse())
            except (OSError, ValueError):
                return []
            finally:
                connection.close()
        held = [alert for group in groups for alert in group["alerts"]]
        return [alert for alert in held if alert["labels"]["alertname"] == alertname]
