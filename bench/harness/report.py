"""Medians, paired ratios, and the markdown tables."""

import random
from statistics import median

from .scenarios import AS_IT_COMES

LOADWEAVER = "loadweaver"
RESAMPLES = 1000


def label_of(proxy, variant):
    return f"{proxy} ({variant})" if variant else proxy


def middle(turns, key):
    values = [turn[key] for turn in turns if turn.get(key) is not None]
    return median(values) if values else None


def spread(turns, key):
    """Half of the interquartile range as a share of the median: how much the machine's speed moved."""
    values = sorted(turn[key] for turn in turns if turn.get(key) is not None)
    if len(values) < 2 or not median(values):
        return 0.0
    quarter = len(values) // 4
    return (values[-1 - quarter] - values[quarter]) / 2 / median(values)


class Ratio:
    """The median of the ratios of turns that were measured side by side, with its 95 % interval (bootstrap)."""

    def __init__(self, ours, theirs, key):
        pairs = [(a.get(key), b.get(key)) for a, b in zip(ours, theirs)]
        ratios = [a / b for a, b in pairs if a is not None and b]
        self.value = median(ratios) if ratios else None
        dice = random.Random(1)
        medians = sorted(median(dice.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES)) if ratios else []
        self.low = medians[int(0.025 * RESAMPLES)] if ratios else None
        self.high = medians[int(0.975 * RESAMPLES) - 1] if ratios else None

    def __str__(self):
        if self.value is None:
            return "–"
        return f"{self.value:.3f} ({self.low:.3f}–{self.high:.3f})"


def best_peer(results, metric, among=()):
    """The peer with the lowest median figure in the scenario's own shape, or None; `among` names those that count."""
    peers = [
        (middle(turns, metric), proxy)
        for (proxy, variant), turns in results.items()
        if proxy != LOADWEAVER and not variant and (not among or proxy in among) and middle(turns, metric) is not None
    ]
    return min(peers)[1] if peers else None


class Line:
    """One figure of ours and what it is held against."""

    def __init__(self, what, ours, theirs, figure, limit, aim=None):
        self.what = what
        self.ours = ours
        self.theirs = theirs
        self.figure = figure  # a Ratio, or a plain number
        self.limit = limit
        self.aim = aim
        self.value = figure.value if isinstance(figure, Ratio) else figure

    @property
    def verdict(self):
        if self.value is None:
            return "not measured"
        if self.value > self.limit:
            return "NOT MET"
        return "met, aim too" if self.aim and self.value <= self.aim else "met"


def judge(scenario, results):
    """The lines that the scenario's targets make."""
    metric = scenario.metric
    ours = results.get((LOADWEAVER, ""), [])
    lines = []
    if scenario.bytes_target is not None:
        figure = middle(ours, metric)
        lines.append(Line("bytes a connection", figure, None, figure, scenario.bytes_target))
    if scenario.target is not None:
        peer = best_peer(results, metric, scenario.against)
        theirs = results.get((peer, ""), [])
        ratio = Ratio(ours, theirs, metric)
        what = f"against {peer or 'no peer'}"
        lines.append(Line(what, middle(ours, metric), middle(theirs, metric), ratio, scenario.target, scenario.aim))
        untuned = {(name, ""): turns for (name, variant), turns in results.items() if variant == AS_IT_COMES}
        if untuned:
            tuned = {name for name, _ in untuned}
            untuned.update({key: turns for key, turns in results.items() if not key[1] and key[0] not in tuned})
            peer = best_peer(untuned, metric)
            theirs = untuned[peer, ""]
            ratio = Ratio(ours, theirs, metric)
            what = f"against {peer} {AS_IT_COMES}"
            lines.append(Line(what, middle(ours, metric), middle(theirs, metric), ratio, scenario.target))
    if scenario.own:
        base_variant, limit = scenario.own
        base = results.get((LOADWEAVER, base_variant), [])
        shaped = results.get((LOADWEAVER, scenario.own_label or ""), [])
        what = f"own, {scenario.own_label or 'this'} against {base_variant or 'off'}"
        ratio = Ratio(shaped, base, metric)
        lines.append(Line(what, middle(shaped, metric), middle(base, metric), ratio, limit))
    return lines


def scenario_table(scenario, results):
    """Every contestant of one scenario, markdown."""
    out = [f"### {scenario.name}: {scenario.title}", ""]
    return out + (_idle_table(results) if scenario.kind == "idle" else _load_table(scenario, results)) + [""]


def _idle_table(results):
    out = ["| proxy | bytes per connection | ± | resident MiB | descriptors | errors |", "|---|--:|--:|--:|--:|--:|"]
    for (proxy, variant), turns in results.items():
        out.append(
            f"| {label_of(proxy, variant)} | {middle(turns, 'idle_bytes'):,.0f} | {spread(turns, 'idle_bytes'):.1%} "
            f"| {middle(turns, 'rss') / 1048576:.1f} | {middle(turns, 'descriptors'):.0f} "
            f"| {sum(turn['errors'] for turn in turns)} |"
        )
    return out


def _load_table(scenario, results):
    metric = scenario.metric
    peer = best_peer(results, metric, scenario.against)
    reference = results.get((peer, ""), []) or results.get((LOADWEAVER, ""), [])
    against = peer or LOADWEAVER
    out = [
        f"| proxy | CPU µs/request | ± | {'p99' if metric == 'p99' else 'CPU'} over {against}'s (95 %) | requests/s "
        "| p50 µs | p99 µs | errors | resident MiB | its core used | load core used | sleeps/request |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for (proxy, variant), turns in results.items():
        best = " (best peer)" if proxy == peer and not variant else ""
        out.append(
            f"| {label_of(proxy, variant)}{best} | {middle(turns, 'cpu_us'):.2f} | {spread(turns, 'cpu_us'):.1%} "
            f"| {Ratio(turns, reference, metric)} | {middle(turns, 'rate'):,.0f} | {middle(turns, 'p50'):,.0f} "
            f"| {middle(turns, 'p99'):,.0f} | {sum(turn['errors'] for turn in turns)} "
            f"| {middle(turns, 'rss') / 1048576:.1f} | {_share(turns, 'proxy_use')} "
            f"| {_share(turns, 'load_core_use')} | {_plain(turns, 'sleeps')} |"
        )
    disturbed = sum(1 for turns in results.values() for turn in turns if turn["disturbed"])
    count = sum(len(turns) for turns in results.values())
    if disturbed:
        out += ["", f"{disturbed} of the {count} turns were disturbed by other processes."]
    return out


def _share(turns, key):
    value = middle(turns, key)
    return f"{value:.0%}" if value is not None else "–"


def _plain(turns, key):
    value = middle(turns, key)
    return f"{value:.3f}" if value is not None else "–"


def summary_table(runs):
    """The lines with targets, markdown. `runs` is a list of (scenario, results)."""
    out = [
        "| scenario | held against | loadweaver | theirs | ratio (95 %) | at most | verdict |",
        "|---|---|--:|--:|--:|--:|---|",
    ]
    for scenario, results in runs:
        for line in judge(scenario, results):
            plain = not isinstance(line.figure, Ratio)
            most = f"{line.limit:,.0f}" if plain else f"{line.limit:.2f}"
            most += f" (aim {line.aim:.2f})" if line.aim else ""
            out.append(
                f"| {scenario.name}: {scenario.title} | {line.what} | {_figure(line.ours)} | {_figure(line.theirs)} "
                f"| {_figure(line.figure) if plain else line.figure} | {most} | {line.verdict} |"
            )
    return out + [""]


def _figure(value):
    return "–" if value is None else f"{value:,.2f}"


def replace_between(path, first, last, lines):
    """Puts lines between two marks of a file."""
    with open(path, encoding="utf-8") as page:
        before, _, rest = page.read().partition(first)
    _, _, after = rest.partition(last)
    text = "\n".join(lines).strip()
    with open(path, "w", encoding="utf-8") as page:
        page.write(f"{before}{first}\n{text}\n{last}{after}")
