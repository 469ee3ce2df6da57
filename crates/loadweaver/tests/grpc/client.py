"""A gRPC client without generated code: messages are bytes. Arguments: address, and a CA file for TLS."""
import sys
import threading
import time

import grpc

most = 16 * 1024 * 1024
options = [("grpc.max_receive_message_length", most), ("grpc.max_send_message_length", most)]
if len(sys.argv) > 2:
    credentials = grpc.ssl_channel_credentials(open(sys.argv[2], "rb").read())
    options.append(("grpc.ssl_target_name_override", "test"))
    channel = grpc.secure_channel(sys.argv[1], credentials, options)
else:
    channel = grpc.insecure_channel(sys.argv[1], options)


def path(name):
    return "/test.Echo/" + name


def failure(call):
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("the call did not fail")


unary = channel.unary_unary(path("Unary"))
answer, call = unary.with_call(b"hello", metadata=(("x-asked", "a b"), ("x-bytes-bin", b"\0\xff")), timeout=20)
assert answer == b"hello"
first, last = dict(call.initial_metadata()), dict(call.trailing_metadata())
assert first["x-first"] == "a b", first
assert last["x-last"] == "done" and last["x-bytes-bin"] == b"\0\xff", last

large = bytes(range(256)) * 32 * 1024
assert len(large) == 8 * 1024 * 1024 and unary(large, timeout=60) == large
assert unary(b"", timeout=20) == b""

collect = channel.stream_unary(path("Collect"))
assert collect(iter([b"a", b"b", b"c"]), timeout=20) == b"a,b,c"
count = channel.unary_stream(path("Count"))
assert list(count(b"1000", timeout=20)) == [str(number).encode() for number in range(1000)]
assert list(count(b"0", timeout=20)) == []

# Each message goes out only when the answer to the one before is there.
turn = threading.Semaphore(1)


def talk():
    for number in range(20):
        assert turn.acquire(timeout=10)
        yield b"%d" % number


heard = []
for answer in channel.stream_stream(path("Chat"))(talk(), timeout=30):
    heard.append(answer)
    turn.release()
assert heard == [b"re: %d" % number for number in range(20)], heard

error = failure(lambda: channel.unary_unary(path("Fail"))(b"", timeout=20))
assert error.code() == grpc.StatusCode.NOT_FOUND and error.details() == "no such thing: \u00e9 100%", error
assert dict(error.trailing_metadata())["x-why"] == "because"
late = channel.unary_stream(path("FailLate"))(b"", timeout=20)
assert next(late) == b"first"
error = failure(lambda: next(late))
assert error.code() == grpc.StatusCode.DATA_LOSS and error.details() == "late", error
error = failure(lambda: channel.unary_unary("/test.Echo/Nothing")(b"", timeout=20))
assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error

hang = channel.unary_stream(path("Hang"))
was_cancelled = channel.unary_unary(path("WasCancelled"))
began = time.monotonic()
call = hang(b"", timeout=2)
assert next(call) in (b"1", b"2"), "the deadline reaches the server"
error = failure(lambda: next(call))
assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
assert 1 < time.monotonic() - began < 10
assert was_cancelled(b"", timeout=20) == b"yes", "the server is told of the deadline"
call = hang(b"", timeout=20)
next(call)
call.cancel()
assert failure(lambda: next(call)).code() == grpc.StatusCode.CANCELLED
assert was_cancelled(b"", timeout=20) == b"yes", "the server is told of the cancellation"
print("fine")
