"""The scenarios of the bench, with the targets that they are held against."""

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class Scenario:
    """One line of the table: what is sent, and what LoadWeaver's figure may be."""

    name: str
    title: str
    kind: str = "closed"  # closed | rate | idle | wrk | h2load
    connections: int = 64
    servers: int = 2
    body: int = 128
    load: tuple = ()
    origin: tuple = ()
    tls: bool = False  # with clients
    h2: bool = False  # with clients, over TLS
    streams: int = 1  # exchanges at once on a connection of HTTP/2
    h2_servers: bool = False  # in the clear
    grpc: bool = False  # unary calls of gRPC
    bulk: bool = False  # peers get the buffers that suit large bodies best
    target: float = None  # most that ours / best peer's may be
    aim: float = None
    # Further contestants: (label, overrides of this scenario or of the set-up).
    also: tuple = ()
    # Our own figure against our own figure in another shape: (label of the base, most).
    own: tuple = ()
    own_label: str = None  # whose figure is held against the base; None = "loadweaver"
    metric: str = "cpu_us"
    against: tuple = ()  # peers that count; empty = all
    bytes_target: float = None


# The best peer of these scenarios is a tuned one; the same peers untuned are measured and judged beside it.
AS_IT_COMES = "as it comes"
STOCK_BUFFERS = tuple((proxy, AS_IT_COMES, {"bulk": False}) for proxy in ("haproxy", "nginx"))

SCENARIOS = [
    Scenario("small", "small answers, keep-alive, 64 connections, bare headers", target=0.85, aim=0.80),
    Scenario(
        "headers",
        "the same with 14 request and 12 answer headers",
        load=("--headers", "browser"),
        origin=("--headers", "framework"),
        target=0.85,
        aim=0.80,
    ),
    Scenario("c512", "small answers, keep-alive, 512 connections", connections=512, target=0.85, aim=0.80),
    Scenario("fresh", "a new client connection for each request", load=("--fresh",), target=0.90),
    Scenario(
        "download",
        "1 MiB answers, 8 connections",
        connections=8,
        body=MIB,
        bulk=True,
        target=0.85,
        also=STOCK_BUFFERS,
    ),
    Scenario(
        "upload",
        "1 MiB uploads, 8 connections",
        connections=8,
        load=("--upload", str(MIB)),
        bulk=True,
        target=0.85,
        also=STOCK_BUFFERS,
    ),
    Scenario(
        "servers1000",
        "1,000 servers",
        servers=1000,
        target=0.85,
        aim=0.80,
        also=tuple((proxy, "2 servers", {"servers": 2}) for proxy in ("loadweaver", "haproxy", "nginx", "envoy")),
        own=("2 servers", 1.05),
    ),
    Scenario(
        "idle", "5,000 idle keep-alive connections", kind="idle", connections=5000, metric="idle_bytes",
        bytes_target=1100.0,
    ),
    Scenario(
        "tls",
        "TLS 1.3, small answers, keep-alive, 64 connections",
        tls=True,
        load=("--tls", "full"),
        target=0.78,
        aim=0.72,
    ),
    Scenario(
        "tls-full", "a full TLS handshake for each request", tls=True, load=("--tls", "full", "--fresh"), target=0.65
    ),
    Scenario(
        "tls-resumed", "a resumed TLS handshake for each request", tls=True, load=("--tls", "resumed", "--fresh"),
        target=0.75,
    ),
    Scenario(
        "tls-download", "1 MiB answers over TLS, 8 connections", tls=True, connections=8, body=MIB, bulk=True,
        load=("--tls", "full"), target=0.85,
    ),
    Scenario(
        "tls-idle", "5,000 idle keep-alive connections over TLS", kind="idle", tls=True, connections=5000,
        load=("--tls", "full"), metric="idle_bytes",
    ),
    Scenario(
        "h2", "HTTP/2 over TLS to HTTP/1.1, small answers, 8 connections x 32 streams", kind="h2load", tls=True,
        load=("--tls", "full"), h2=True, connections=8, streams=32, target=0.95, aim=0.85,
    ),
    Scenario(
        "h2-download", "1 MiB answers over HTTP/2, 8 connections", kind="h2load", tls=True, h2=True, connections=8,
        body=MIB, load=("--tls", "full"), bulk=True, target=0.90,
    ),
    Scenario(
        "h2-h2", "HTTP/2 over TLS to HTTP/2, small answers, 8 connections x 32 streams", kind="h2load", tls=True,
        load=("--tls", "full"), h2=True, h2_servers=True, servers=1, connections=8, streams=32, target=0.80, against=("envoy", "nginx"),
    ),
    Scenario(
        "grpc", "unary calls of gRPC, HTTP/2 over TLS to HTTP/2, 8 connections x 32 streams", kind="h2load", tls=True,
        load=("--tls", "full"), h2=True, h2_servers=True, grpc=True, servers=1, connections=8, streams=32, target=0.80,
        against=("envoy",),
    ),
    Scenario("p99", "p99 latency at 60 % of the best peer's top rate", kind="rate", target=1.0, metric="p99"),
    Scenario(
        "accesslog",
        "access log on",
        also=(("loadweaver", "log on", {"access_log": True}),),
        own=("", 1.10),
        own_label="log on",
    ),
    Scenario("wrk", "cross-check: small with wrk as the load generator", kind="wrk"),
]

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
DEFAULT = [scenario.name for scenario in SCENARIOS if scenario.name != "wrk"]
