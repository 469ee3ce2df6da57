"""What the admin API takes and costs, with few servers and with many, while the data plane has more to do than it can.

One LoadWeaver on one core with 64 connections that never pause. Operations go one after the other, each on a
connection of its own, in rounds of all kinds, so that no kind has a spell of the machine to itself. CPU is that of all
threads but the workers': what the operation costs, whatever the traffic. See bench/README.md.
"""

import argparse
import http.client
import json
import os
import random
import sys
import time

from . import cli, proxies
from .procs import LOAD_CORE, PROXY_CORE, BenchError, Child, prepare, wait_for_answer
from .report import replace_between
from .turn import Bench

CONNECTIONS = 64
LIMIT_MS = 50.0


def arguments():
    parser = argparse.ArgumentParser(prog="bench/admin", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--servers", default="2,2000", help="sizes of the pool, the one to compare with first")
    parser.add_argument("--rounds", type=int, default=150, help="times that each operation is measured")
    parser.add_argument("--idle", action="store_true", help="without traffic")
    parser.add_argument("--directory", help="where the configuration file is written (default: that of the bench)")
    parser.add_argument("--loadweaver", metavar="PATH", help="the binary (default target/release/loadweaver)")
    parser.add_argument("--readme", action="store_true", help="put the table into bench/README.md")
    return parser.parse_args()


def main():
    args = arguments()
    try:
        prepare()
        # Not the utmost that there is: the control plane asks for precedence over the workers.
        os.setpriority(os.PRIO_PROCESS, 0, max(-10, os.getpriority(os.PRIO_PROCESS, 0)))
        cli.build_tools()
        binary = args.loadweaver or proxies.find_binary("loadweaver", cli.ROOT)
        if not binary:
            raise BenchError("no loadweaver binary: cargo build --release")
        bench = Bench(cli.ROOT, {"loadweaver": binary}, 0, 0, False)
        try:
            sizes = [int(size) for size in args.servers.split(",")]
            results = [Api(args, bench, binary, size).run() for size in sizes]
        finally:
            bench.close()
    except BenchError as error:
        sys.exit(f"bench: {error}")
    lines = table(args, sizes, results)
    print("\n".join(lines))
    if args.readme:
        path = os.path.join(cli.ROOT, "bench", "README.md")
        replace_between(path, "<!-- admin -->", "<!-- /admin -->", lines)


class Api:
    """One LoadWeaver with a pool of some size, and what its operations took."""

    def __init__(self, args, bench, binary, size):
        self.args = args
        self.bench = bench
        self.binary = binary
        self.size = size
        self.seen = {}
        self.pid = None
        self.port = None

    def run(self):
        """Operation → list of (milliseconds, CPU milliseconds)."""
        origin, servers = self.bench.start_origin(self.size + 1, 128)
        with origin:
            setup = proxies.Setup(servers, self.args.directory or self.bench.directory)
            self.port = setup.admin_port
            with self._start(setup) as proxy:
                self.pid = proxy.pid
                if self.args.idle:
                    self._rounds(servers)
                else:
                    self._under_load(setup, servers)
        return self.seen

    def _start(self, setup):
        pool = {
            # The last one comes and goes.
            "servers": [{"id": f"s{number}", "host": host, "port": port}
                        for number, (host, port) in enumerate(setup.servers[:-1])],
            "healthCheck": {"type": "tcp", "interval": "60s"},
        }  # fmt: skip
        config = {
            "workers": 1,
            "listeners": {"web": {"bind": f"127.0.0.1:{setup.port}"}},
            "pools": {"app": pool},
            "admin": {"bind": f"127.0.0.1:{setup.admin_port}"},
            "accessLog": {"output": "off"},
        }
        argv = [self.binary, "run", "--config", setup.write("admin.json", json.dumps(config, indent=2))]
        child = Child("loadweaver", argv, PROXY_CORE, os.path.join(setup.directory, "loadweaver.log"))
        try:
            wait_for_answer(setup.port, child)
        except BenchError:
            child.stop()
            raise
        return child

    def _under_load(self, setup, servers):
        argv = [
            self.bench.load, "--target", f"127.0.0.1:{setup.port}", "--connections", str(CONNECTIONS),
            "--expect", "128", "--seconds", "3600",
        ]  # fmt: skip
        log = os.path.join(self.bench.directory, "load.log")
        with Child("load", argv, LOAD_CORE, log) as load:
            # A connection to each server, and the first probes.
            time.sleep(2.0 + self.size / 500)
            self._rounds(servers)
            if not load.alive():
                raise BenchError(f"the load generator ended:\n{load.tail()}")

    def _rounds(self, servers):
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
        chance = random.Random(1)
        host, port = servers[-1]
        for number in range(-2, self.args.rounds):
            some = f"/api/servers/s{chance.randrange(self.size)}"
            merge = "application/merge-patch+json"
            for name, *request in (
                ("GET /api/health", "GET", "/api/health"),
                ("GET /api/servers/{id}", "GET", some),
                ("GET /api/servers", "GET", "/api/servers"),
                ("GET /api/config", "GET", "/api/config"),
                ("GET /status", "GET", "/status"),
                ("PUT …/weight", "PUT", f"{some}/weight", {"weight": 2 + number % 7}),
                ("PUT …/state", "PUT", f"{some}/state", {"state": "drain"}),
                ("", "PUT", f"{some}/state", {"state": "active"}),
                ("POST /api/servers", "POST", "/api/servers", {"id": "new", "host": host, "port": port}),
                ("DELETE /api/servers/{id}", "DELETE", "/api/servers/new"),
                ("PATCH /api/config", "PATCH", "/api/config", {"timeouts": {"drain": f"{40 + number % 7}s"}}, merge),
            ):
                took = self._measured(request)
                if name and number >= 0:
                    self.seen.setdefault(name, []).append(took)

    def _measured(self, request):
        method, path, *body = request
        data = json.dumps(body[0]) if body else None
        headers = {"Content-Type": body[1] if len(body) > 1 else "application/json"} if body else {}
        cpu, began = self._cpu_ms(), time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path, body=data, headers=headers)
        answer = connection.getresponse()
        text = answer.read()
        took = (time.perf_counter() - began) * 1000
        connection.close()
        if answer.status >= 300:
            raise BenchError(f"{method} {path}: {answer.status} {text[:300]}")
        # What an operation leaves to do, such as to let the old configuration go, is its cost, too.
        time.sleep(0.01)
        return took, self._cpu_ms() - cpu

    def _cpu_ms(self):
        """CPU time of all threads but the workers."""
        spent, tasks = 0, f"/proc/{self.pid}/task"
        for task in os.listdir(tasks):
            try:
                with open(f"{tasks}/{task}/comm", encoding="ascii") as name:
                    if name.read().startswith("worker"):
                        continue
                with open(f"{tasks}/{task}/schedstat", encoding="ascii") as schedstat:
                    spent += int(schedstat.read().split()[0])
            except FileNotFoundError:
                pass
        return spent / 1e6


def at(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def table(args, sizes, results):
    """Milliseconds; CPU is the median."""
    traffic = "without traffic" if args.idle else "data plane saturated"
    lines = [
        f"Commit {cli.commit()}, {time.strftime('%Y-%m-%d')}, {cli.cpu_model()}, {os.cpu_count()} cores, {traffic}. "
        f"{args.rounds} of each operation; milliseconds.",
        "",
        "| operation | " + " | ".join(f"{size:,}: p50 | p99 | CPU" for size in sizes) + " | CPU, "
        + f"{sizes[-1]:,} : {sizes[0]:,} |",
        "|---|" + "--:|" * (3 * len(sizes) + 1),
    ]
    for name in results[0]:
        cells, cpus = [], []
        for result in results:
            took, cpu = zip(*result[name])
            cpus.append(at(cpu, 0.5))
            worst = at(took, 0.99)
            cells += [f"{at(took, 0.5):.1f}", f"{worst:.1f}{'' if worst < LIMIT_MS else ' !'}", f"{cpus[-1]:.2f}"]
        lines.append(f"| `{name}` | {' | '.join(cells)} | {cpus[-1] / cpus[0]:.1f} |")
    return lines
