"""Collectors and proxies that answer in their own ways: over HTTP, over TLS, over gRPC."""

import datetime
import gzip
import inspect
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import (
    LogsServiceServicer,
    add_LogsServiceServicer_to_server,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from tests.instrumentation.fake_collector import FakeCollector

HOST = "collector.example"


class Answer:
    """What an HTTP peer answers."""

    def __init__(self, status: int = 200, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.status = status
        self.body = body
        self.headers = {"Content-Type": "application/x-protobuf"} if headers is None else headers


class HttpPeer(FakeCollector):
    """An HTTP server whose answers a test makes out of the requests, and which keeps those that it answered by 200."""

    def __init__(self, answer: Callable[[str, bytes], Answer]) -> None:
        super().__init__()
        self.answer = answer
        self.asked: list[str] = []
        self.tunnels_to: tuple[str, int] | None = None

    def reply(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        answer = self.answer(path, body)
        with self.arrived:
            self.asked.append(path)
            if answer.status == 200:
                self.requests.append((path, headers, body))
            self.arrived.notify_all()
        return answer


@contextmanager
def http_peer(
    answer: Callable[[str, bytes], Answer] = lambda _path, _body: Answer(), *, tls: "tuple[str, str] | None" = None
) -> Iterator[HttpPeer]:
    peer = HttpPeer(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            answer = peer.reply(self.path, dict(self.headers.items()), body)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def do_CONNECT(self) -> None:
            peer.asked.append(f"CONNECT {self.path}")
            assert peer.tunnels_to is not None
            self.send_response(200)
            self.end_headers()
            with socket.create_connection(peer.tunnels_to) as beyond:
                back = threading.Thread(target=_pump, args=(beyond, self.connection), daemon=True)
                back.start()
                _pump(self.connection, beyond)
                back.join(5)
            self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    peer.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield peer
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


class GrpcPeer(FakeCollector):
    """A gRPC server with OTLP's services. `refusals` are raised first, one each."""

    def __init__(self) -> None:
        super().__init__()
        self.refusals: list[Callable[[Any], None]] = []
        self.metadata: list[dict[str, Any]] = []
        self.rejected_spans = 0

    def serve(self, path: str, request: Any, context: Any) -> None:
        refuse = None
        with self.arrived:
            if self.refusals:
                refuse = self.refusals.pop(0)
            else:
                self.metadata.append(dict(context.invocation_metadata()))
                self.requests.append((path, {}, request.SerializeToString()))
            self.arrived.notify_all()
        if refuse is not None:
            refuse(context)


@contextmanager
def grpc_peer(*, port: int = 0, tls: "tuple[str, str] | None" = None) -> Iterator[GrpcPeer]:
    peer = GrpcPeer()

    class Traces(TraceServiceServicer):
        def Export(  # noqa: N802
            self, request: ExportTraceServiceRequest, context: Any
        ) -> ExportTraceServiceResponse:
            peer.serve("/v1/traces", request, context)
            response = ExportTraceServiceResponse()
            if peer.rejected_spans:
                response.partial_success.rejected_spans = peer.rejected_spans
                response.partial_success.error_message = "no room"
            return response

    class Logs(LogsServiceServicer):
        def Export(  # noqa: N802
            self, request: ExportLogsServiceRequest, context: Any
        ) -> ExportLogsServiceResponse:
            peer.serve("/v1/logs", request, context)
            return ExportLogsServiceResponse()

    server = _untraced_server()
    add_TraceServiceServicer_to_server(Traces(), server)  # type: ignore[no-untyped-call, unused-ignore]
    add_LogsServiceServicer_to_server(Logs(), server)  # type: ignore[no-untyped-call, unused-ignore]
    if tls is None:
        bound = server.add_insecure_port(f"127.0.0.1:{port}")
    else:
        certificate, key = (Path(path).read_bytes() for path in tls)
        bound = server.add_secure_port(f"127.0.0.1:{port}", grpc.ssl_server_credentials([(key, certificate)]))
    peer.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{bound}"
    server.start()
    try:
        yield peer
    finally:
        peer.stopping.set()
        server.stop(0).wait(5)


def _untraced_server() -> Any:
    """A gRPC server that clew does not trace: it is in the same process as the service under test only here."""
    from grpc import _server

    wrapped = _server._Server.__init__
    _server._Server.__init__ = inspect.unwrap(wrapped)
    try:
        return grpc.server(ThreadPoolExecutor(4))
    finally:
        _server._Server.__init__ = wrapped


def make_certificate(folder: Path) -> tuple[str, str]:
    """A certificate for this machine and for `HOST` that signs itself, and its key: the paths of both."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "clew's tests")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName(HOST), x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(folder / "cert.pem"), str(folder / "key.pem")


def closed_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def silent_server() -> Iterator[str]:
    """Accepts connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return
