"""A day in miniature: millions of requests, connections that come and go, servers that flap.

What it checks at the end: no request failed, resident memory stayed flat, no descriptor is left, and the
counters of generator, proxy (`GET /status`) and origins add up. See bench/README.md.
"""

import argparse
import json
import os
import random
import sys
import threading
import time
import urllib.request

from . import cli, proxies
from .procs import LOAD_CORE, PROXY_CORE, BenchError, Child, descriptors, prepare, resident_bytes, wait_for_answer
from .report import replace_between
from .turn import Bench

IDLE_SECONDS = 5
MEMORY_SLACK = 2 * 1024 * 1024


def arguments():
    parser = argparse.ArgumentParser(prog="bench/day", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--requests", type=int, default=20_000_000)
    parser.add_argument("--per-connection", type=int, default=100, help="requests before a connection is closed")
    parser.add_argument("--connections", type=int, default=64, help="at the same time")
    parser.add_argument("--servers", type=int, default=4, help="all but the first one flap")
    parser.add_argument("--flap", type=float, default=4.0, help="seconds between flaps, on average; 0 = none")
    parser.add_argument("--minutes", type=float, default=40.0, help="gives up after so long")
    parser.add_argument("--seed", type=int, default=1, help="of the flapping")
    parser.add_argument("--loadweaver", metavar="PATH", help="the binary (default target/release/loadweaver)")
    parser.add_argument("--readme", action="store_true", help="put the report into bench/README.md")
    parser.add_argument("--out", metavar="FILE", help="all samples as JSON")
    return parser.parse_args()


def main():
    args = arguments()
    try:
        prepare()
        cli.build_tools()
        binary = args.loadweaver or proxies.find_binary("loadweaver", cli.ROOT)
        if not binary:
            raise BenchError("no loadweaver binary: cargo build --release")
        bench = Bench(cli.ROOT, {"loadweaver": binary}, 0, 0, False)
        try:
            sys.exit(0 if Day(args, bench, binary).run() else 1)
        finally:
            bench.close()
    except BenchError as error:
        sys.exit(f"bench: {error}")


class Day:
    """One run and what was seen in it."""

    def __init__(self, args, bench, binary):
        self.args = args
        self.bench = bench
        self.binary = binary
        self.samples = []
        self.flaps = 0
        self.checks = []

    def run(self):
        args = self.args
        origin, servers = self.bench.start_origin(args.servers, 128)
        with origin:
            setup = proxies.Setup(servers, self.bench.directory)
            with self._start(setup) as proxy:
                before = self._at_rest(proxy, setup, origin)
                report = self._load(proxy, setup, origin)
                after = self._at_rest(proxy, setup, origin)
                ended_well = self._drained(proxy)
        self._judge(report, before, after, ended_well)
        self._print(report, before, after)
        return all(good for _, good, _ in self.checks)

    def _start(self, setup):
        config = {
            "workers": 1,
            "listeners": {"web": {"bind": f"127.0.0.1:{setup.port}"}},
            "pools": {
                "app": {
                    "servers": [{"host": host, "port": port} for host, port in setup.servers],
                    "healthCheck": {"type": "tcp", "interval": "500ms", "timeout": "3s", "rise": 2, "fall": 2},
                    "connectionPool": {"idleTimeout": f"{IDLE_SECONDS}s"},
                }
            },
            "admin": {"bind": f"127.0.0.1:{setup.admin_port}"},
        }
        argv = [self.binary, "run", "--config", setup.write("day.json", json.dumps(config))]
        child = Child("loadweaver", argv, PROXY_CORE, os.path.join(setup.directory, "loadweaver.log"))
        try:
            wait_for_answer(setup.port, child)
        except BenchError:
            child.stop()
            raise
        return child

    def _at_rest(self, proxy, setup, origin):
        """Counters and descriptors once every idle connection was given up."""
        end = time.monotonic() + 4 * IDLE_SECONDS
        while True:
            state = {
                "status": self._status(setup),
                "origin": origin.ask("stats")["ports"],
                "descriptors": descriptors(proxy.pids()),
                "resident": resident_bytes(proxy.pids()),
            }
            # Probes open a connection of their own now and then: at rest is when two looks agree.
            quiet = sum(port["open"] for port in state["origin"]) == 0
            if quiet or time.monotonic() > end:
                return state
            time.sleep(0.2)

    def _status(self, setup):
        with urllib.request.urlopen(f"http://127.0.0.1:{setup.admin_port}/status", timeout=10) as answer:
            page = json.load(answer)
        return page.get("data", page)

    def _load(self, proxy, setup, origin):
        args = self.args
        argv = [
            self.bench.load, "--target", f"127.0.0.1:{setup.port}", "--requests", str(args.requests),
            "--connections", str(args.connections), "--per-connection", str(args.per_connection),
            "--watch", f"proxy={proxy.pid}",
        ]  # fmt: skip
        over = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(proxy, over), daemon=True)
        flapper = threading.Thread(target=self._flap, args=(origin, over), daemon=True)
        with Child("load", argv, LOAD_CORE, os.path.join(self.bench.directory, "load.log"), pipe=True) as load:
            watcher.start()
            flapper.start()
            try:
                return load.read_json(args.minutes * 60)
            finally:
                over.set()
                watcher.join()
                flapper.join()

    def _watch(self, proxy, over):
        start = time.monotonic()
        while not over.wait(1.0):
            if not proxy.alive():
                return
            pids = proxy.pids()
            self.samples.append((time.monotonic() - start, resident_bytes(pids), descriptors(pids)))

    def _flap(self, origin, over):
        """Closes one server's port, and opens it again a little later; the first server stays."""
        dice = random.Random(self.args.seed)
        if not self.args.flap or self.args.servers < 2:
            return
        while not over.wait(dice.uniform(0.5, 1.5) * self.args.flap):
            index = dice.randrange(1, self.args.servers)
            origin.ask(f"close {index}")
            self.flaps += 1
            over.wait(dice.uniform(0.1, 0.5) * self.args.flap)
            end = time.monotonic() + 10
            # The port may be some connection's own for a moment.
            while not origin.ask(f"open {index}")["ok"] and time.monotonic() < end:
                time.sleep(0.1)

    def _drained(self, proxy):
        proxy.process.terminate()
        try:
            return proxy.process.wait(40) == 0
        except Exception:  # noqa: BLE001  it hangs: said in the report
            return False

    def _check(self, what, good, detail):
        self.checks.append((what, bool(good), detail))

    def _judge(self, report, before, after, ended_well):
        sent, good = report["sent"], report["requests"]
        bad = {kind: count for kind, count in report["errors"].items() if count}
        self._check("every request was answered with 200", not bad and good == sent, f"{good:,} of {sent:,}; {bad}")

        def grown(*path):
            return _at(after["status"], path) - _at(before["status"], path)

        requests = grown("requests")
        self._check("the proxy counted the requests sent", requests == sent, f"{requests:,} / {sent:,}")
        twos = grown("statuses", "2xx")
        self._check("the proxy counted the good answers", twos == good, f"{twos:,} / {good:,}")
        accepted = grown("connections", "accepted")
        self._check("connections accepted = opened", accepted == report["connects"], f"{accepted:,} / {report['connects']:,}")
        bytes_out = grown("bytesOut")
        self._check("bytes to clients = received", bytes_out == report["bytes"], f"{bytes_out:,} / {report['bytes']:,}")
        active = _at(after["status"], ("connections", "active"))
        self._check("no connection is left", active == 0, f"{active} active")

        pool = grown("pools", 0, "requests")
        retries = grown("pools", 0, "retries")
        count = range(self.args.servers)
        attempts = [grown("pools", 0, "servers", i, "requests") for i in count]
        failures = [grown("pools", 0, "servers", i, "failures") for i in count]
        answers = [grown("pools", 0, "servers", i, "statuses", "2xx") for i in count]
        self._check(
            "attempts at servers = exchanges + retries",
            sum(attempts) == pool + retries,
            f"{sum(attempts):,} / {pool:,} + {retries:,}",
        )
        self._check("the node's retries are the pool's", grown("retries") == retries, f"{grown('retries'):,} / {retries:,}")
        seen = [now["requests"] - then["requests"] for now, then in zip(after["origin"], before["origin"])]
        done = [now["answered"] - then["answered"] for now, then in zip(after["origin"], before["origin"])]
        for i in count:
            lost = attempts[i] - answers[i]
            self._check(
                f"server {i}: answers taken ≤ answers given ≤ requests seen ≤ attempts; the rest failed or were stale",
                answers[i] <= done[i] <= seen[i] <= attempts[i] and failures[i] <= lost,
                f"{answers[i]:,} ≤ {done[i]:,} ≤ {seen[i]:,} ≤ {attempts[i]:,}; {lost:,} lost, {failures[i]:,} failures",
            )
        self._check("answers of servers = answers to clients", sum(answers) == good, f"{sum(answers):,} / {good:,}")
        still = [_at(after["status"], ("pools", 0, "servers", i, "active")) for i in count]
        self._check("no attempt is left", not any(still), f"{still}")

        before_fds, after_fds = before["descriptors"], after["descriptors"]
        self._check("no descriptor is left", after_fds <= before_fds, f"{before_fds} before, {after_fds} after")
        early, late = self._memory()
        self._check(
            "resident memory is flat",
            late - early <= MEMORY_SLACK,
            f"{early / 1048576:.1f} MiB in the second tenth, {late / 1048576:.1f} MiB in the last",
        )
        self._check("it ended by itself on SIGTERM with code 0", ended_well, "")

    def _memory(self):
        sizes = [resident for _, resident, _ in self.samples]
        tenth = max(1, len(sizes) // 10)
        early = sorted(sizes[tenth : 2 * tenth] or sizes[:1] or [0])
        late = sorted(sizes[-tenth:] or [0])
        return early[len(early) // 2], late[len(late) // 2]

    def _print(self, report, before, after):
        requests, seconds = report["requests"], report["seconds"]
        latency = report["latency_us"]
        lines = [
            f"Commit {cli.commit()}, {time.strftime('%Y-%m-%d')}, {cli.cpu_model()}: {requests:,} requests on "
            f"{report['connects']:,} connections in {seconds:.0f} s ({requests / seconds:,.0f}/s), {self.flaps} flaps, "
            f"{report['watch']['proxy']['cpu_ns'] / max(1, requests) / 1000:.2f} µs CPU a request, "
            f"p50 {latency['p50']:,.0f} µs, p99 {latency['p99']:,.0f} µs, max {latency['max'] / 1000:,.0f} ms. "
            f"Resident: {before['resident'] / 1048576:.1f} MiB before, {after['resident'] / 1048576:.1f} MiB after.",
            "",
            "| check | verdict | figures |",
            "|---|---|---|",
            *(f"| {what} | {'yes' if good else 'NO'} | {detail} |" for what, good, detail in self.checks),
        ]
        print("\n".join(lines))
        if self.args.readme:
            replace_between(os.path.join(cli.ROOT, "bench", "README.md"), "<!-- day -->", "<!-- /day -->", lines)
        if self.args.out:
            with open(self.args.out, "w", encoding="utf-8") as out:
                json.dump({"report": report, "before": before, "after": after, "samples": self.samples}, out)


def _at(value, path):
    for key in path:
        value = value.get(key, 0) if isinstance(value, dict) else value[key]
    return value
