"""One contestant, and one turn of it: a warm-up, then a measured window."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time

from . import proxies
from .procs import LOAD_CORE, PROXY_CORE, BenchError, Child, descriptors, free_port, resident_bytes, wait_for_port

# More than this share of a core taken by strangers makes a turn worthless.
FOREIGN_LIMIT = 0.03
STOLEN_LIMIT = 0.02

# Not compressed, 100 bytes.
GRPC_MESSAGE = "\0\0\0\0" + chr(100) + "x" * 100


class Contestant:
    """A proxy with an origin of its own, running."""

    def __init__(self, bench, scenario, proxy, access_log=False):
        self.bench = bench
        self.scenario = scenario
        self.proxy = proxy
        self._directory = tempfile.mkdtemp(dir=bench.directory, prefix=f"{proxy}-")
        os.chmod(self._directory, 0o755)
        self._log = _log_file() if access_log else None
        if scenario.h2_servers:
            self.origin, servers = bench.start_h2_origin(scenario.body, scenario.grpc)
        else:
            self.origin, servers = bench.start_origin(scenario.servers, scenario.body, scenario.origin)
        try:
            self.setup = proxies.Setup(
                servers, self._directory, bench.same, self._log, scenario.bulk, scenario.tls, scenario.h2,
                scenario.h2_servers, scenario.grpc,
            )
            self.child = proxies.start(proxy, bench.binaries[proxy], self.setup)
        except BenchError:
            self.origin.stop()
            raise
        self.pids = self.child.pids()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.stop()
        self.origin.stop()
        shutil.rmtree(self._directory, ignore_errors=True)
        if self._log and os.path.exists(self._log):
            os.unlink(self._log)

    def load_argv(self, *extra):
        scenario = self.scenario
        return [
            self.bench.load, "--target", f"127.0.0.1:{self.setup.port}",
            "--connections", str(scenario.connections), "--expect", str(scenario.body),
            *scenario.load, *extra,
        ]  # fmt: skip

    def load(self, argv, seconds):
        """Runs the load generator; returns what it printed."""
        log = os.path.join(self.bench.directory, "load.log")
        with Child("load", argv, LOAD_CORE, log, pipe=True) as load:
            return load.read_json(seconds)

    def warm_up(self):
        """Opens a connection to each server, lets health checks settle; measures nothing."""
        seconds = 0.5 + self.scenario.servers / 500
        self.load(self.load_argv("--seconds", "0.1", "--warmup", str(seconds)), seconds + 30)

    def turn(self, rate=0.0, bystanders=()):
        """One measured window. `bystanders` are processes of this bench that are not strangers."""
        seconds, warmup = self.bench.seconds, self.bench.warmup
        argv = self.load_argv(
            "--seconds", str(seconds), "--warmup", str(warmup), "--rate", str(rate),
            "--watch", "proxy=" + ",".join(map(str, self.pids)),
            "--watch", f"origin={self.origin.pid}", "--watch", "load=self",
        )  # fmt: skip
        if bystanders:
            argv += ["--watch", "bystanders=" + ",".join(map(str, bystanders))]
        raw = self.load(argv, seconds + warmup + 30)
        if not self.child.alive():
            raise BenchError(f"{self.child.name} ended under load:\n{self.child.tail()}")
        return _figures(raw, self.pids)

    def idle_turn(self):
        """Resident memory of many idle connections."""
        # Every pool and allocator is warm before the first reading, so that the difference is the connections'.
        warm = self.load_argv("--seconds", "1", "--warmup", "0.5")
        warm[warm.index("--connections") + 1] = "64"
        self.load(warm, 30)
        time.sleep(1.0)
        before = resident_bytes(self.pids)
        log = os.path.join(self.bench.directory, "load.log")
        with Child("load", self.load_argv("--hold"), LOAD_CORE, log, pipe=True) as load:
            first = load.read_json(130)
            time.sleep(2.0)
            during, open_now = resident_bytes(self.pids), descriptors(self.pids)
            again = load.ask("again", 130)
            load.process.stdin.write(b"end\n")
            load.process.stdin.flush()
        count = self.scenario.connections
        errors = sum(first["errors"].values()) + sum(again["errors"].values())
        # Who closes idle connections early would look thrifty: those count as errors here.
        errors += count - first["requests"] + again["connects"]
        return {
            "idle_bytes": (during - before) / count,
            "rss": during,
            "descriptors": open_now,
            "errors": errors,
            "disturbed": 0.0,
        }

    def wrk_turn(self):
        """The same load by wrk."""
        seconds = max(2, round(self.bench.seconds))
        argv = ["taskset", "-c", str(LOAD_CORE), self.bench.binaries["wrk"], "-t1",
                f"-c{self.scenario.connections}", f"-d{seconds}s", "--latency",
                f"http://127.0.0.1:{self.setup.port}/"]  # fmt: skip
        before = _cpu_ns(self.pids)
        result = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=seconds + 30)
        cpu = _cpu_ns(self.pids) - before
        requests = int(re.search(r"(\d+) requests in", result.stdout).group(1))
        failed = re.search(r"Non-2xx or 3xx responses: (\d+)", result.stdout)
        socket_errors = re.search(r"Socket errors: (.*)", result.stdout)
        errors = int(failed.group(1)) if failed else 0
        errors += sum(map(int, re.findall(r"\d+", socket_errors.group(1)))) if socket_errors else 0
        return {
            "cpu_us": cpu / requests / 1000,
            "rate": requests / seconds,
            "p50": _wrk_time(result.stdout, "50%"),
            "p99": _wrk_time(result.stdout, "99%"),
            "errors": errors,
            "rss": resident_bytes(self.pids),
            "proxy_use": cpu / seconds / 1e9,
            "disturbed": 0.0,
        }


    def h2load_turn(self):
        """The load of HTTP/2, by h2load."""
        seconds, scenario = max(2, round(self.bench.seconds)), self.scenario
        log = os.path.join(self.bench.directory, "h2load.log")
        argv = ["taskset", "-c", str(LOAD_CORE), self.bench.binaries["h2load"], "-c", str(scenario.connections),
                "-m", str(scenario.streams), f"--log-file={log}"]  # fmt: skip
        if scenario.grpc:
            message = self.setup.write("message", GRPC_MESSAGE)
            argv += ["-d", message, "-H", "content-type: application/grpc", "-H", "te: trailers",
                     f"https://127.0.0.1:{self.setup.port}/bench.Echo/Call"]  # fmt: skip
        else:
            argv.append(f"https://127.0.0.1:{self.setup.port}/")
        warm = [*argv, "-n", str(scenario.connections * 50)]
        subprocess.run(warm, capture_output=True, check=True, timeout=60)
        os.truncate(log, 0)
        before = _cpu_ns(self.pids)
        result = subprocess.run([*argv, "-D", str(seconds)], capture_output=True, text=True, check=True, timeout=seconds + 30)
        cpu = _cpu_ns(self.pids) - before
        done, failed, errored, timed_out = re.search(
            r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", result.stdout
        ).groups()
        if done == "0":
            raise BenchError(f"h2load got no answer from {self.child.name}:\n{result.stdout}")
        errors = int(failed) + int(errored) + int(timed_out)
        if scenario.grpc:
            # A call that failed has a good status and no message.
            data = int(re.search(r"\((\d+)\) data", result.stdout).group(1))
            errors += max(0, int(done) - data // len(GRPC_MESSAGE))
        with open(log, encoding="ascii") as lines:
            times = sorted(int(line.split()[2]) for line in lines)
        return {
            "cpu_us": cpu / int(done) / 1000,
            "rate": int(done) / seconds,
            "p50": times[len(times) // 2],
            "p99": times[len(times) * 99 // 100],
            "errors": errors,
            "rss": resident_bytes(self.pids),
            "proxy_use": cpu / seconds / 1e9,
            "disturbed": 0.0,
        }


class Bench:
    """Where things are, and how long they run."""

    def __init__(self, root, binaries, seconds, warmup, same):
        self.root = root
        self.binaries = binaries
        self.seconds = seconds
        self.warmup = warmup
        self.same = same
        tools = os.path.join(root, "bench", "tools", "target", "release")
        self.origin = os.path.join(tools, "origin")
        self.load = os.path.join(tools, "load")
        self.directory = tempfile.mkdtemp(prefix="loadweaver-bench-")

    def close(self):
        shutil.rmtree(self.directory, ignore_errors=True)

    def start_h2_origin(self, body, grpc=False):
        """Starts a server of HTTP/2 in the clear; returns it with its address. With `grpc` it sends back the message
        of each call."""
        root = os.path.join(self.directory, f"htdocs-{body}")
        os.makedirs(root, exist_ok=True)
        with open(os.path.join(root, "index.html"), "wb") as page:
            page.write(b"x" * body)
        port = free_port()
        echo = ["--echo-upload", "--trailer=grpc-status: 0"] if grpc else []
        argv = [self.binaries["nghttpd"], "--no-tls", *echo, "-d", root, "-a", "127.0.0.1", str(port)]
        child = Child("nghttpd", argv, LOAD_CORE, os.path.join(self.directory, "nghttpd.log"))
        wait_for_port(port, child)
        return child, [("127.0.0.1", port)]

    def start_origin(self, servers, body, extra=(), spread=None, **how):
        """Starts the origin; returns it with its addresses."""
        argv = [self.origin, "--ports", str(servers), "--body", str(body), *extra]
        if spread or (spread is None and servers > 100):
            argv.append("--spread")
        child = Child("origin", argv, LOAD_CORE, os.path.join(self.directory, "origin.log"), pipe=True, **how)
        addresses = child.read_json(10)["addresses"]
        return child, [(host, int(port)) for host, port in (text.rsplit(":", 1) for text in addresses)]


def _figures(raw, pids):
    seconds, requests = raw["seconds"], max(1, raw["requests"])
    watch = raw["watch"]
    use = {name: watch[name]["cpu_ns"] / 1e9 / seconds for name in ("proxy", "origin", "load")}
    busy = [core["busy_ms"] / 1e3 / seconds for core in raw["cores"]]
    stolen = [core["stolen_ms"] / 1e3 / seconds for core in raw["cores"]]
    # Other contestants are idle but for their health checks; whichever core those are on, they are no strangers.
    own = watch.get("bystanders", {"cpu_ns": 0})["cpu_ns"] / 1e9 / seconds
    on_load_core = use["origin"] + use["load"]
    foreign = max(busy[PROXY_CORE] - use["proxy"] - own, busy[LOAD_CORE] - on_load_core - own, 0.0)
    worst_stolen = max(stolen[PROXY_CORE], stolen[LOAD_CORE])
    disturbed = max(foreign if foreign > FOREIGN_LIMIT else 0, worst_stolen if worst_stolen > STOLEN_LIMIT else 0)
    return {
        "cpu_us": watch["proxy"]["cpu_ns"] / requests / 1000,
        "rate": raw["requests"] / seconds,
        "p50": raw["latency_us"]["p50"],
        "p99": raw["latency_us"]["p99"],
        "p999": raw["latency_us"]["p999"],
        "errors": sum(raw["errors"].values()),
        "error_kinds": {kind: count for kind, count in raw["errors"].items() if count},
        "reconnects": raw["idle_closed"],
        "rss": resident_bytes(pids),
        "proxy_use": use["proxy"],
        "load_core_use": use["origin"] + use["load"],
        "sleeps": watch["proxy"]["sleeps"] / requests,
        "preempted": watch["proxy"]["preempted"] / seconds,
        "foreign": foreign,
        "stolen": worst_stolen,
        "disturbed": disturbed,
    }


def _cpu_ns(pids):
    total = 0
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as stat:
                total += int(stat.read().split()[0])
    return total


def _wrk_time(text, label):
    """Microseconds of a percentile line of wrk."""
    number, unit = re.search(rf"{label}\s+([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]


def _log_file():
    place = "/dev/shm" if os.path.isdir("/dev/shm") else tempfile.gettempdir()
    handle, path = tempfile.mkstemp(prefix="loadweaver-access-", suffix=".log", dir=place)
    os.close(handle)
    return path
