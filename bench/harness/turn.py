"""One turn: a fresh origin, a fresh proxy, a warm-up, a measured window."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time

from . import proxies
from .procs import LOAD_CORE, PROXY_CORE, BenchError, Child, descriptors, resident_bytes

# More than this share of a core taken by strangers makes a turn worthless: it is repeated.
FOREIGN_LIMIT = 0.03
STOLEN_LIMIT = 0.02


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

    def start_origin(self, servers, body, extra=(), spread=None):
        """Starts the origin; returns it with its addresses."""
        argv = [self.origin, "--ports", str(servers), "--body", str(body), *extra]
        if spread or (spread is None and servers > 100):
            argv.append("--spread")
        child = Child("origin", argv, LOAD_CORE, os.path.join(self.directory, "origin.log"), pipe=True)
        addresses = child.read_json(10)["addresses"]
        return child, [(host, int(port)) for host, port in (text.rsplit(":", 1) for text in addresses)]

    def run(self, scenario, proxy, rate=0.0, access_log=False):
        """One turn of `proxy` in `scenario`; returns what was measured."""
        directory = tempfile.mkdtemp(dir=self.directory, prefix=f"{proxy}-")
        os.chmod(directory, 0o755)
        log = _log_file() if access_log else None
        origin, servers = self.start_origin(scenario.servers, scenario.body, scenario.origin)
        try:
            with origin:
                setup = proxies.Setup(servers, directory, self.same, log, scenario.bulk)
                with proxies.start(proxy, self.binaries[proxy], setup) as child:
                    if scenario.kind == "idle":
                        return self._idle(scenario, child, setup)
                    if scenario.kind == "wrk":
                        return self._wrk(scenario, child, setup)
                    return self._loaded(scenario, child, setup, origin, rate)
        finally:
            shutil.rmtree(directory, ignore_errors=True)
            if log and os.path.exists(log):
                os.unlink(log)

    def _load_argv(self, scenario, setup, *extra):
        return [
            self.load, "--target", f"127.0.0.1:{setup.port}",
            "--connections", str(scenario.connections), "--expect", str(scenario.body),
            *scenario.load, *extra,
        ]  # fmt: skip

    def _load_json(self, argv, seconds):
        log = os.path.join(self.directory, "load.log")
        with Child("load", argv, LOAD_CORE, log, pipe=True) as load:
            return load.read_json(seconds)

    def _loaded(self, scenario, child, setup, origin, rate):
        # With many servers the warm-up has to open a connection to each, and health checks have to settle.
        warmup = self.warmup + scenario.servers / 500
        argv = self._load_argv(
            scenario, setup,
            "--seconds", str(self.seconds), "--warmup", str(warmup), "--rate", str(rate),
            "--watch", "proxy=" + ",".join(map(str, child.pids())),
            "--watch", f"origin={origin.pid}", "--watch", "load=self",
        )  # fmt: skip
        raw = self._load_json(argv, self.seconds + warmup + 30)
        if not child.alive():
            raise BenchError(f"{child.name} ended under load:\n{child.tail()}")
        return _figures(raw, child)

    def _idle(self, scenario, child, setup):
        # Every pool and allocator is warm before the first reading, so that the difference is the connections'.
        warm = self._load_argv(scenario, setup, "--seconds", "1", "--warmup", "0.5")
        warm[warm.index("--connections") + 1] = "64"
        self._load_json(warm, 30)
        time.sleep(1.0)
        before = resident_bytes(child.pids())
        argv = self._load_argv(scenario, setup, "--hold")
        log = os.path.join(self.directory, "load.log")
        with Child("load", argv, LOAD_CORE, log, pipe=True) as load:
            first = load.read_json(130)
            time.sleep(2.0)
            pids = child.pids()
            during, open_now = resident_bytes(pids), descriptors(pids)
            again = load.ask("again", 130)
            load.process.stdin.write(b"end\n")
            load.process.stdin.flush()
        errors = sum(first["errors"].values()) + sum(again["errors"].values())
        # Who closes idle connections early would look thrifty: those count as errors here.
        errors += scenario.connections - first["requests"] + again["connects"]
        return {
            "idle_bytes": (during - before) / scenario.connections,
            "rss": during,
            "descriptors": open_now,
            "errors": errors,
            "disturbed": 0.0,
        }

    def _wrk(self, scenario, child, setup):
        seconds = max(2, round(self.seconds + self.warmup))
        argv = ["taskset", "-c", str(LOAD_CORE), self.binaries["wrk"], "-t1", f"-c{scenario.connections}",
                f"-d{seconds}s", "--latency", f"http://127.0.0.1:{setup.port}/"]  # fmt: skip
        pids = child.pids()
        before = _cpu_ns(pids)
        result = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=seconds + 30)
        cpu = _cpu_ns(pids) - before
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
            "rss": resident_bytes(pids),
            "proxy_use": cpu / seconds / 1e9,
            "disturbed": 0.0,
        }


def _figures(raw, child):
    seconds, requests = raw["seconds"], max(1, raw["requests"])
    watch = raw["watch"]
    use = {name: watch[name]["cpu_ns"] / 1e9 / seconds for name in ("proxy", "origin", "load")}
    busy = [core["busy_ms"] / 1e3 / seconds for core in raw["cores"]]
    stolen = [core["stolen_ms"] / 1e3 / seconds for core in raw["cores"]]
    foreign = max(
        busy[PROXY_CORE] - use["proxy"], busy[LOAD_CORE] - use["origin"] - use["load"], 0.0
    )
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
        "rss": resident_bytes(child.pids()),
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
