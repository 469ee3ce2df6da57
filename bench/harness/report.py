"""Medians, ratios, and the markdown tables."""

from statistics import median

LOADWEAVER = "loadweaver"


def label_of(proxy, variant):
    return f"{proxy} ({variant})" if variant else proxy


def middle(turns, key):
    values = [turn[key] for turn in turns if turn.get(key) is not None]
    return median(values) if values else None


def spread(turns, key):
    """Half of the range from the lowest to the highest turn, as a share of the median."""
    values = [turn[key] for turn in turns if turn.get(key) is not None]
    if len(values) < 2 or not median(values):
        return 0.0
    return (max(values) - min(values)) / 2 / median(values)


def best_peer(results, metric):
    """(name, median) of the peer with the lowest figure in the scenario's own shape."""
    peers = [
        (middle(turns, metric), proxy)
        for (proxy, variant), turns in results.items()
        if proxy != LOADWEAVER and not variant and middle(turns, metric) is not None
    ]
    if not peers:
        return None, None
    value, name = min(peers)
    return name, value


def judge(scenario, results):
    """The lines held against a target: (what, ours, theirs, ratio or figure, limit, aim, verdict)."""
    ours = middle(results.get((LOADWEAVER, ""), []), scenario.metric)
    lines = []
    if scenario.bytes_target is not None:
        lines.append(("bytes a connection", ours, None, ours, scenario.bytes_target, None, _met(ours, scenario.bytes_target)))
    if scenario.target is not None:
        name, theirs = best_peer(results, scenario.metric)
        ratio = ours / theirs if ours is not None and theirs else None
        lines.append((f"against {name or 'no peer'}", ours, theirs, ratio, scenario.target, scenario.aim,
                      _met(ratio, scenario.target)))
    if scenario.own:
        base_variant, limit = scenario.own
        base = middle(results.get((LOADWEAVER, base_variant), []), scenario.metric)
        shaped = middle(results.get((LOADWEAVER, scenario.own_label or ""), []), scenario.metric)
        ratio = shaped / base if shaped is not None and base else None
        what = f"own, {scenario.own_label or 'this'} against {base_variant or 'off'}"
        lines.append((what, shaped, base, ratio, limit, None, _met(ratio, limit)))
    return lines


def _met(value, limit):
    if value is None:
        return "not measured"
    return "met" if value <= limit else "NOT MET"


def scenario_table(scenario, results):
    """Every contestant of one scenario, markdown."""
    out = [f"### {scenario.name}: {scenario.title}", ""]
    if scenario.kind == "idle":
        out += ["| proxy | bytes per connection | ± | resident MiB | descriptors | errors |", "|---|--:|--:|--:|--:|--:|"]
        for (proxy, variant), turns in results.items():
            out.append(
                f"| {label_of(proxy, variant)} | {middle(turns, 'idle_bytes'):,.0f} | {spread(turns, 'idle_bytes'):.1%} "
                f"| {middle(turns, 'rss') / 1048576:.1f} | {middle(turns, 'descriptors'):.0f} "
                f"| {sum(turn['errors'] for turn in turns)} |"
            )
        return out + [""]
    name, theirs = best_peer(results, scenario.metric)
    out += [
        f"| proxy | CPU µs/request | ± | ratio of {'p99' if scenario.metric == 'p99' else 'CPU'} to best peer | requests/s | p50 µs | p99 µs "
        "| ± p99 | errors | resident MiB | its core used | load core used | sleeps/request |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for (proxy, variant), turns in results.items():
        value = middle(turns, scenario.metric)
        ratio = f"{value / theirs:.3f}" if value is not None and theirs else "–"
        out.append(
            f"| {label_of(proxy, variant)}{' (best peer)' if proxy == name and not variant else ''} "
            f"| {middle(turns, 'cpu_us'):.2f} | {spread(turns, 'cpu_us'):.1%} | {ratio} "
            f"| {middle(turns, 'rate'):,.0f} | {middle(turns, 'p50'):,.0f} | {middle(turns, 'p99'):,.0f} "
            f"| {spread(turns, 'p99'):.0%} | {sum(turn['errors'] for turn in turns)} "
            f"| {middle(turns, 'rss') / 1048576:.1f} | {_share(turns, 'proxy_use')} "
            f"| {_share(turns, 'load_core_use')} | {_plain(turns, 'sleeps')} |"
        )
    disturbed = sum(1 for turns in results.values() for turn in turns if turn["disturbed"])
    if disturbed:
        out.append("")
        out.append(f"{disturbed} turns were disturbed by other processes and could not be repeated undisturbed.")
    return out + [""]


def _share(turns, key):
    value = middle(turns, key)
    return f"{value:.0%}" if value is not None else "–"


def _plain(turns, key):
    value = middle(turns, key)
    return f"{value:.3f}" if value is not None else "–"


def summary_table(runs):
    """The lines with targets, markdown. `runs` is a list of (scenario, results)."""
    out = [
        "| scenario | held against | loadweaver | theirs | ratio | at most | verdict |",
        "|---|---|--:|--:|--:|--:|---|",
    ]
    for scenario, results in runs:
        for what, ours, theirs, ratio, limit, aim, verdict in judge(scenario, results):
            figure = "–" if ratio is None else (f"{ratio:,.0f}" if scenario.bytes_target == limit else f"{ratio:.3f}")
            most = f"{limit:,.0f}" if scenario.bytes_target == limit else f"{limit:.2f}"
            most += f" (aim {aim:.2f})" if aim else ""
            if aim and verdict == "met" and ratio <= aim:
                verdict = "met, aim too"
            out.append(
                f"| {scenario.name}: {scenario.title} | {what} | {_figure(ours)} | {_figure(theirs)} | {figure} "
                f"| {most} | {verdict} |"
            )
    return out + [""]


def _figure(value):
    return "–" if value is None else f"{value:,.2f}"
