"""A server behind a web configuration, and clients with and without TLS."""

import http.client
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from serving import page
from support import certificates
from support.waiting import DEADLINE

from exporter.web.admission import Limits
from exporter.web.http_message import Handler
from exporter.web.live_configuration import LiveWebConfig
from exporter.web.middleware import WebConfigMiddleware
from exporter.web.server import WebServer

#: For a file whose certificates are those of `certificates.write_all`.
TLS = "tls_server_config: {cert_file: server.pem, key_file: server.key%s}\n"
#: The header of whoever says that they are alice, with the password "wonderland".
ALICE = {"Authorization": "Basic YWxpY2U6d29uZGVybGFuZA=="}
#: The same password's hashes at cost 4 and 10.
HASH_4 = "$2b$04$KgFxVu9EbJLJ3bC0DANRCun4yJq9EmljqV8Jp0PG60WRZZDRJhwqW"
HASH_10 = certificates.WONDERLAND


class Site:
    """A running server and the file that rules it."""

    def __init__(self, path: Path, server: WebServer) -> None:
        self.path = path
        self.folder = path.parent
        self.server = server
        self.port = server.addresses[0].port

    def rewrite(self, text: str) -> None:
        """Put another file in place, as an editor would: all of it at once."""
        replace(self.path, text.encode())

    def client(self, certificate: str = "", **options: object) -> ssl.SSLContext:
        """What a client needs that trusts the server, and has a certificate if one is named."""
        context = ssl.create_default_context(cafile=self.folder / "ca.pem")
        if certificate:
            context.load_cert_chain(
                self.folder / f"{certificate}.pem", self.folder / f"{certificate}.key"
            )
        for name, value in options.items():
            setattr(context, name, value)
        return context

    def connect(self, context: ssl.SSLContext | None = None) -> http.client.HTTPConnection:
        """A connection, with TLS if there is a context."""
        if context is None:
            return http.client.HTTPConnection("localhost", self.port, timeout=DEADLINE)
        return http.client.HTTPSConnection(
            "localhost", self.port, timeout=DEADLINE, context=context
        )

    def get(
        self,
        path: str = "/metrics",
        method: str = "GET",
        context: ssl.SSLContext | None = None,
        **headers: str,
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of an answer, on a connection of its own."""
        connection = self.connect(context)
        try:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()


def replace(path: Path, data: bytes) -> None:
    """Put a new file in the place of one."""
    new = path.with_suffix(".new")
    new.write_bytes(data)
    os.replace(new, path)


@contextmanager
def configured(
    folder: Path,
    text: str,
    application: Handler = page,
    max_requests: int = 40,
    limits: Limits | None = None,
) -> Iterator[Site]:
    """A server that is ruled by a file with this text."""
    path = folder / "web.yml"
    path.write_text(text, encoding="utf-8")
    config = LiveWebConfig(str(path))
    handler = WebConfigMiddleware(application, config, max_requests)
    tls = config.tls if config.last_good.tls else None
    server = WebServer(["127.0.0.1:0"], handler, max_requests, limits=limits, tls=tls)
    server.start()
    try:
        yield Site(path, server)
    finally:
        server.stop(DEADLINE)
