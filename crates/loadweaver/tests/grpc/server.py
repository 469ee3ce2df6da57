"""A gRPC server without generated code: messages are bytes. Arguments: port, and certificate and key for TLS."""
import sys
import threading
import time
from concurrent import futures

import grpc

cancelled = threading.Semaphore(0)


def unary(request, context):
    given = dict(context.invocation_metadata())
    context.send_initial_metadata((("x-first", given.get("x-asked", "")),))
    context.set_trailing_metadata((("x-last", "done"), ("x-bytes-bin", given.get("x-bytes-bin", b""))))
    return request


def collect(requests, context):
    return b",".join(requests)


def count(request, context):
    for number in range(int(request)):
        yield str(number).encode()


def chat(requests, context):
    for request in requests:
        yield b"re: " + request


def fail(request, context):
    context.set_trailing_metadata((("x-why", "because"),))
    context.abort(grpc.StatusCode.NOT_FOUND, "no such thing: \u00e9 100%")


def fail_late(request, context):
    yield b"first"
    context.abort(grpc.StatusCode.DATA_LOSS, "late")


def hang(request, context):
    gone = threading.Event()
    context.add_callback(gone.set)
    yield b"%d" % int(context.time_remaining() or 0)
    if gone.wait(20):
        cancelled.release()


def was_cancelled(request, context):
    return b"yes" if cancelled.acquire(timeout=10) else b"no"


handlers = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Collect": grpc.stream_unary_rpc_method_handler(collect),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Chat": grpc.stream_stream_rpc_method_handler(chat),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "FailLate": grpc.unary_stream_rpc_method_handler(fail_late),
    "Hang": grpc.unary_stream_rpc_method_handler(hang),
    "WasCancelled": grpc.unary_unary_rpc_method_handler(was_cancelled),
}
most = 16 * 1024 * 1024
server = grpc.server(
    futures.ThreadPoolExecutor(16),
    options=[("grpc.max_receive_message_length", most), ("grpc.max_send_message_length", most)],
)
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))
address = f"127.0.0.1:{sys.argv[1]}"
if len(sys.argv) > 2:
    cert, key = (open(name, "rb").read() for name in sys.argv[2:4])
    server.add_secure_port(address, grpc.ssl_server_credentials([(key, cert)]))
else:
    server.add_insecure_port(address)
server.start()
while True:
    time.sleep(3600)
