"""A receiver of OTLP: python collector.py FILE http|grpc [HOW...]

It chooses its port and says so on standard error. Each request is appended to FILE as a line of JSON. HOW says what
becomes of the first ones: a status of HTTP ("429:3" with the seconds after which to come back) or the name of one of
gRPC; "rejects" takes all but one span, "garbage" takes all and says so in a long body that is no message, "hangs" says
nothing at all."""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service

path, protocol, first = sys.argv[1], sys.argv[2], sys.argv[3:]
lock = threading.Lock()


def attributes(of):
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in of.attributes}


def span(of, scope):
    return {
        "trace": of.trace_id.hex(), "span": of.span_id.hex(), "parent": of.parent_span_id.hex(),
        "state": of.trace_state, "name": of.name, "kind": of.kind, "flags": of.flags,
        "start": of.start_time_unix_nano, "end": of.end_time_unix_nano, "attributes": attributes(of),
        "status": of.status.code, "message": of.status.message, "scope": scope.name,
    }


def take(request, headers):
    """Notes a request and says what becomes of it."""
    with lock:
        how = first.pop(0) if first else "taken"
        for resource in request.resource_spans:
            spans = [span(each, inner.scope) for inner in resource.scope_spans for each in inner.spans]
            line = {"how": how, "resource": attributes(resource.resource), "headers": headers, "spans": spans}
            line["at"] = time.monotonic()
            with open(path, "a") as file:
                file.write(json.dumps(line) + "\n")
        answer = service.ExportTraceServiceResponse()
        if how == "rejects":
            answer.partial_success.rejected_spans = 1
            answer.partial_success.error_message = "one too many"
        return how, answer


class Http(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        kind = self.headers["content-type"]
        if self.path != "/v1/traces" or kind != "application/x-protobuf":
            how, answer = "404", service.ExportTraceServiceResponse()
        else:
            request = service.ExportTraceServiceRequest.FromString(body)
            headers = {name.lower(): value for name, value in self.headers.items()}
            how, answer = take(request, headers)
        if how == "hangs":
            time.sleep(3600)
        status, _, after = how.partition(":")
        body = b"\xff" * 100_000 if how == "garbage" else answer.SerializeToString()
        self.send_response(int(status) if status.isdigit() else 200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(body)))
        if status in ("429", "503"):
            self.send_header("retry-after", after or "0")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def listening(port):
    print("listening", port, file=sys.stderr, flush=True)


if protocol == "http":
    ThreadingHTTPServer.daemon_threads = True
    server = ThreadingHTTPServer(("127.0.0.1", 0), Http)
    listening(server.server_port)
    server.serve_forever()
else:
    # What takes longest to begin with, and who speaks HTTP has no use for.
    from concurrent import futures

    import grpc
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as calls

    class Grpc(calls.TraceServiceServicer):
        def Export(self, request, context):
            how, answer = take(request, dict(context.invocation_metadata()))
            if how == "hangs":
                time.sleep(3600)
            if how not in ("taken", "rejects"):
                context.abort(getattr(grpc.StatusCode, how), "as asked")
            return answer

    # Otherwise it may share its port with somebody.
    server = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
    calls.add_TraceServiceServicer_to_server(Grpc(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    listening(port)
    server.wait_for_termination()
