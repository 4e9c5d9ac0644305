"""A real OTLP receiver on loopback, over HTTP and over gRPC, that can also fail."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

REQUESTS = {
    "traces": trace_service_pb2.ExportTraceServiceRequest,
    "logs": logs_service_pb2.ExportLogsServiceRequest,
    "metrics": metrics_service_pb2.ExportMetricsServiceRequest,
}
RESPONSES = {
    "traces": trace_service_pb2.ExportTraceServiceResponse,
    "logs": logs_service_pb2.ExportLogsServiceResponse,
    "metrics": metrics_service_pb2.ExportMetricsServiceResponse,
}


def plain(attributes: Any) -> dict[str, Any]:
    """Attributes as a dict of Python values."""
    return {a.key: _plain(a.value) for a in attributes}


def _plain(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(v) for v in value.array_value.values]
    return getattr(value, kind)


class Received:
    """What has arrived. Thread: any."""

    def __init__(self) -> None:
        self.messages: dict[str, list[Any]] = {signal: [] for signal in REQUESTS}
        self.headers: list[dict[str, str]] = []
        #: Requests of any kind, refused ones among them.
        self.tries = 0

    def resources(self, signal: str) -> list[dict[str, Any]]:
        """The resource of each message."""
        return [plain(r.resource.attributes) for m in self.messages[signal] for r in _of(m)]

    def spans(self) -> list[Any]:
        """Every span, in the order of arrival."""
        found = self.messages["traces"].copy()
        return [s for m in found for r in m.resource_spans for x in r.scope_spans for s in x.spans]

    def events(self) -> list[dict[str, Any]]:
        """The attributes of every span event in the order of time, with ``time`` and ``name``."""
        events = [(e, s) for s in self.spans() for e in s.events]
        events.sort(key=lambda pair: pair[0].time_unix_nano)
        return [plain(e.attributes) | {"time": e.time_unix_nano, "name": e.name} for e, _ in events]

    def records(self) -> list[Any]:
        """Every log record."""
        found = self.messages["logs"].copy()
        return [
            record
            for m in found
            for r in m.resource_logs
            for s in r.scope_logs
            for record in s.log_records
        ]

    def metrics(self) -> Iterator[Any]:
        """Every metric of every push."""
        for message in self.messages["metrics"].copy():
            for resource in message.resource_metrics:
                for scope in resource.scope_metrics:
                    yield from scope.metrics


def _of(message: Any) -> Any:
    for field in ("resource_spans", "resource_logs", "resource_metrics"):
        if hasattr(message, field):
            return getattr(message, field)
    raise AssertionError(message)


class HttpReceiver(Received):
    """POST /v1/traces, /v1/logs, /v1/metrics. Use it as a context manager.

    `answer` gives the status and more headers of each answer; it may wait.
    """

    def __init__(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self.answer: Callable[[], tuple[int, dict[str, str]]] = lambda: (200, {})
        receiver = self
        self._connections: list[socket.socket] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.tries += 1
                status, headers = receiver.answer()
                signal = self.path.rpartition("/")[2]
                if status == 200:
                    receiver.headers.append({k.lower(): v for k, v in self.headers.items()})
                    receiver.messages[signal].append(REQUESTS[signal].FromString(body))
                with suppress(OSError):  # the client may have given up
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    content = RESPONSES[signal]().SerializeToString() if status == 200 else b""
                    self.send_header("Content-Type", "application/x-protobuf")
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def process_request(self, request: Any, client_address: Any) -> None:
                receiver._connections.append(request)
                super().process_request(request, client_address)

            def handle_error(self, *_: object) -> None:
                pass  # clients that go away are part of the tests

        self._server = Server(("127.0.0.1", port), Handler)
        if tls:
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port: int = self._server.server_address[1]
        scheme = "https" if tls else "http"
        self.endpoint = f"{scheme}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        for connection in self._connections:
            with suppress(OSError):  # closed long ago
                connection.shutdown(socket.SHUT_RDWR)


class GrpcReceiver(Received):
    """The three collector services. Use it as a context manager.

    `status`, if set, is what each call fails with.
    """

    def __init__(self, port: int = 0) -> None:
        super().__init__()
        self.status: grpc.StatusCode | None = None
        self._server = grpc.server(ThreadPoolExecutor(4))
        for signal, services in (
            ("traces", trace_service_pb2_grpc),
            ("logs", logs_service_pb2_grpc),
            ("metrics", metrics_service_pb2_grpc),
        ):
            name = "Trace" if signal == "traces" else signal.capitalize()
            base = getattr(services, f"{name}ServiceServicer")
            made = type(name, (base,), {"Export": self._export(signal)})()
            getattr(services, f"add_{name}ServiceServicer_to_server")(made, self._server)
        self.port: int = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def _export(self, signal: str) -> Callable[[Any, Any, Any], Any]:
        def export(_: Any, request: Any, context: Any) -> Any:
            self.tries += 1
            if self.status is not None:
                context.abort(self.status, "not now")
            self.headers.append(dict(context.invocation_metadata()))
            self.messages[signal].append(request)
            return RESPONSES[signal]()

        return export

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(0).wait()


@contextmanager
def reserved_port() -> Iterator[int]:
    """Reserve a port, which refuses connections while no receiver listens on it."""
    with socket.socket() as reservation:
        # Linux lets a receiver listen on the port of a socket that does not listen, if both set
        # this option, and gives the port neither to other sockets nor to outgoing connections.
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reservation.bind(("127.0.0.1", 0))
        yield reservation.getsockname()[1]


class SilentListener:
    """Accepts connections (the kernel does) and sends nothing. A context manager."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.endpoint = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
