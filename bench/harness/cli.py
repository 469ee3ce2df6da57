"""The command line of bench/run."""

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import replace

from . import proxies, report
from .procs import BenchError, prepare
from .scenarios import BY_NAME, DEFAULT, SCENARIOS
from .turn import Bench, Contestant

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Rotations are repeated while others disturb them, up to this many times as many as were asked for.
PATIENCE = 2


def arguments():
    parser = argparse.ArgumentParser(
        prog="bench/run",
        description="Measures LoadWeaver and its peers in turns and prints markdown tables.",
        epilog="Scenarios: " + "; ".join(f"{s.name} ({s.title})" for s in SCENARIOS),
    )
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"default: {' '.join(DEFAULT)}")
    parser.add_argument("--rounds", type=int, default=3, help="fresh starts of all contestants (default 3)")
    parser.add_argument("--turns", type=int, default=8, help="turns of each contestant in a round (default 8)")
    parser.add_argument("--seconds", type=float, default=1.0, help="measured window of a turn (default 1)")
    parser.add_argument("--warmup", type=float, default=0.3, help="before the window (default 0.3)")
    parser.add_argument("--proxies", default="loadweaver,haproxy,nginx,envoy", help="comma list, in this order")
    parser.add_argument("--loadweaver", metavar="PATH", help="the binary (default target/release/loadweaver)")
    parser.add_argument(
        "--same-headers", action="store_true",
        help="peers add X-Forwarded-* and a request id too, as LoadWeaver does by default",
    )  # fmt: skip
    parser.add_argument("--rate", type=float, help="requests per second of p99 (default: 60 %% of the best peer's)")
    parser.add_argument("--out", metavar="FILE", help="all turns as JSON")
    parser.add_argument("--markdown", metavar="FILE", help="the tables, besides standard output")
    parser.add_argument("--readme", action="store_true", help="put the tables into bench/README.md")
    parser.add_argument("--no-repeat", action="store_true", help="keep turns that others disturbed")
    return parser.parse_args()


def main():
    args = arguments()
    names = args.scenarios or DEFAULT
    unknown = [name for name in names if name not in BY_NAME]
    if unknown:
        sys.exit(f"no such scenario: {', '.join(unknown)}; there are: {', '.join(BY_NAME)}")
    try:
        prepare()
        present = find_proxies(args)
        build_tools()
        bench = Bench(ROOT, present, args.seconds, args.warmup, args.same_headers)
        try:
            run_all(args, bench, names)
        finally:
            bench.close()
    except BenchError as error:
        sys.exit(f"bench: {error}")


def find_proxies(args):
    """Name → binary of what is there; says how to get the rest."""
    present = {}
    for name in [*args.proxies.split(","), *proxies.TOOLS]:
        if name not in proxies.HOW_TO_GET:
            raise BenchError(f"no such proxy: {name}")
        binary = args.loadweaver if name == "loadweaver" and args.loadweaver else proxies.find_binary(name, ROOT)
        if binary:
            present[name] = binary
        else:
            note(f"{name} is not here and is left out; to get it: {proxies.HOW_TO_GET[name]}")
    if not set(present) - set(proxies.TOOLS):
        raise BenchError("no proxy is present")
    return present


def build_tools():
    manifest = os.path.join(ROOT, "bench", "tools", "Cargo.toml")
    command = ["cargo", "build", "--release", "--quiet", "--manifest-path", manifest]
    if subprocess.run(command, check=False).returncode != 0:
        raise BenchError("the load generator and the origin did not build")


def run_all(args, bench, names):
    lines = header(bench, args)
    print("\n".join(lines), flush=True)
    runs, rates = [], {}
    for name in names:
        scenario = BY_NAME[name]
        tools = [scenario.kind] * (scenario.kind in proxies.TOOLS) + ["nghttpd"] * scenario.h2_servers
        if any(tool not in bench.binaries for tool in tools):
            continue
        rate = rate_for_p99(args, bench, rates) if scenario.kind == "rate" else 0.0
        results = run_scenario(args, bench, scenario, rate)
        if name == "small":
            rates.update({proxy: report.middle(turns, "rate") for (proxy, _), turns in results.items()})
        runs.append((scenario, results))
        table = report.scenario_table(scenario, results)
        if rate:
            table.insert(1, f"\n{rate:,.0f} requests/s.")
        print("\n".join(table), flush=True)
        lines += table
    summary = ["### Against the targets", "", *report.summary_table(runs)]
    print("\n".join(summary), flush=True)
    if args.markdown:
        with open(args.markdown, "w", encoding="utf-8") as out:
            out.write("\n".join(lines + summary))
    if args.readme:
        path = os.path.join(ROOT, "bench", "README.md")
        report.replace_between(path, "<!-- table -->", "<!-- /table -->", lines[:4] + summary[2:] + lines[4:])
    if args.out:
        with open(args.out, "w", encoding="utf-8") as out:
            json.dump(as_json(lines, runs), out, indent=1)


def run_scenario(args, bench, scenario, rate):
    """All contestants in turns; (proxy, variant) → list of turns. Equal places in two lists were measured within
    seconds of each other, so that their ratio holds whatever the machine's speed was just then."""
    entries = [(proxy, "", {}) for proxy in bench.binaries if proxy not in proxies.TOOLS]
    if scenario.h2_servers and not scenario.grpc:
        entries = [entry for entry in entries if entry[0] != "nginx"]
    entries += [entry for entry in scenario.also if entry[0] in bench.binaries]
    if scenario.name == "accesslog":
        entries = [entry for entry in entries if entry[0] == report.LOADWEAVER]
    results = {(proxy, variant): [] for proxy, variant, _ in entries}
    for number in range(args.rounds):
        note(f"{scenario.name} round {number + 1}/{args.rounds}")
        with contextlib.ExitStack() as stack:
            started = {}
            if scenario.kind == "idle":
                rotation_of_idle(bench, scenario, entries, results)
                continue
            for proxy, variant, overrides in entries:
                shape = replace(scenario, **{k: v for k, v in overrides.items() if k != "access_log"})
                contestant = Contestant(bench, shape, proxy, overrides.get("access_log", False))
                started[proxy, variant] = stack.enter_context(contestant)
            for contestant in started.values():
                contestant.warm_up()
            rotations(args, scenario, started, rate, results)
    return results


def rotation_of_idle(bench, scenario, entries, results):
    """Memory is read from proxies that were just started, one after the other."""
    for proxy, variant, _ in entries:
        with Contestant(bench, scenario, proxy) as contestant:
            results[proxy, variant].append(contestant.idle_turn())


def rotations(args, scenario, started, rate, results):
    """A B C D, D C B A, …; rotations that strangers disturbed are left out while enough others remain."""
    clean, disturbed = [], []
    while len(clean) < args.turns and len(clean) + len(disturbed) < PATIENCE * args.turns:
        order = list(started.items())
        if (len(clean) + len(disturbed)) % 2:
            order.reverse()
        rotation = {key: one_turn(scenario, contestant, started, rate) for key, contestant in order}
        worst = max(figures["disturbed"] for figures in rotation.values())
        (disturbed if worst and not args.no_repeat else clean).append((worst, rotation))
    kept = clean + sorted(disturbed, key=lambda entry: entry[0])[: max(0, args.turns - len(clean))]
    if disturbed:
        note(f"  {len(disturbed)} of {len(clean) + len(disturbed)} rotations were disturbed")
    for _, rotation in kept:
        for key, figures in rotation.items():
            results[key].append(figures)


def one_turn(scenario, contestant, started, rate):
    if scenario.kind == "wrk":
        return contestant.wrk_turn()
    if scenario.kind == "h2load":
        return contestant.h2load_turn()
    others = [other for other in started.values() if other is not contestant]
    bystanders = [pid for other in others for pid in (*other.pids, other.origin.pid)]
    return contestant.turn(rate, bystanders)


def rate_for_p99(args, bench, rates):
    """60 % of the best peer's top rate, measured now where `small` did not just measure it."""
    if args.rate:
        return args.rate
    peers = [proxy for proxy in bench.binaries if proxy in proxies.PEERS]
    missing = [proxy for proxy in peers if proxy not in rates]
    if missing:
        results = run_scenario(argparse.Namespace(**{**vars(args), "rounds": 1}), bench, BY_NAME["small"], 0.0)
        rates.update({proxy: report.middle(turns, "rate") for (proxy, _), turns in results.items()})
    if not peers:
        raise BenchError("p99 needs a peer, or --rate")
    return 0.6 * max(rates[proxy] for proxy in peers)


def header(bench, args):
    versions = ", ".join(
        f"{name} {proxies.version(name, binary)}" for name, binary in bench.binaries.items() if name not in proxies.TOOLS
    )
    return [
        f"Commit {commit()}, {time.strftime('%Y-%m-%d')}, Linux {platform.release()}, {cpu_model()}, "
        f"{os.cpu_count()} cores, TCP {congestion_control()}. {args.rounds} rounds of {args.turns} turns of {args.seconds:g} s "
        f"after {args.warmup:g} s of warm-up"
        f"{', peers add forwarding headers too' if args.same_headers else ''}.",
        "",
        f"{versions}.",
        "",
    ]


def commit():
    command = ["git", "-C", ROOT, "describe", "--always", "--dirty", "--abbrev=12"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def congestion_control():
    with open("/proc/sys/net/ipv4/tcp_congestion_control", encoding="ascii") as value:
        return value.read().strip()


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        for line in info:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return "unknown CPU"


def as_json(lines, runs):
    return {
        "about": [line for line in lines[:4] if line],
        "scenarios": [
            {
                "name": scenario.name,
                "title": scenario.title,
                "contestants": [
                    {"proxy": proxy, "variant": variant, "turns": turns}
                    for (proxy, variant), turns in results.items()
                ],
            }
            for scenario, results in runs
        ],
    }


def note(text):
    print(text, file=sys.stderr, flush=True)
