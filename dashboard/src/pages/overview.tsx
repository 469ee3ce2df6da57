// Whether all is well, and how it went in the last hour.

import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { count, millis, percent, spoken } from "../format.ts";
import { cells, newest, times, type Column, type Columns, type Lines } from "../history.ts";
import { Chart, Strip, type Track } from "../parts/chart.tsx";
import { Icon } from "../parts/icon.tsx";
import { Empty, Loading, Shown } from "../parts/states.tsx";
import { useHistory } from "../past.ts";
import { usePoll } from "../poll.ts";
import { to } from "../route.ts";
import type { PoolView, Problem, Problems } from "../shapes.ts";

/** Points of ten seconds with which an hour looks empty. */
const YOUNG = 30;

export function Overview(): JSX.Element {
    const [chosen, setFine] = useState<boolean | null>(null);
    const seconds = useHistory(1);
    const hour = useHistory(10);
    const pools = usePoll<PoolView[]>("api/pools", 2000);
    // A node that has just begun has next to nothing to show of an hour.
    const fine = chosen ?? (hour !== null && hour.last - hour.first < YOUNG);
    const lines = fine ? seconds : hour;
    return (
        <>
            <Now />
            <section aria-labelledby="traffic">
                <div class="section-head">
                    <h2 id="traffic">Traffic</h2>
                    <div class="choice" role="radiogroup" aria-label="Time shown">
                        {[true, false].map((each) => (
                            <label key={String(each)}>
                                <input type="radio" name="span" checked={fine === each} onChange={() => setFine(each)} />
                                <span>{each ? "5 min" : "1 h"}</span>
                            </label>
                        ))}
                    </div>
                </div>
                {lines && seconds ? <Traffic lines={lines} now={seconds.node} seconds={fine ? 300 : 3600} /> : <Loading lines={6} />}
            </section>
            <section aria-labelledby="pools">
                <div class="section-head">
                    <h2 id="pools">Pools</h2>
                    <span class="muted">the last hour, a minute each</span>
                </div>
                <Shown feed={pools}>{(data) => <Pools pools={data} hour={hour} now={seconds} />}</Shown>
            </section>
        </>
    );
}

/** What is wrong, in the node's words. */
function Now(): JSX.Element {
    const feed = usePoll<Problems>("api/problems", 2000);
    return (
        <Shown feed={feed} lines={1}>
            {({ summary, problems }) =>
                problems.length === 0 ? (
                    <p class="now now-good" role="status">
                        <Icon name="good" />
                        <strong>{summary}</strong>
                    </p>
                ) : (
                    <ul class="now" aria-label="What is wrong now">
                        {keyed(problems).map(([key, problem]) => (
                            <One key={key} problem={problem} />
                        ))}
                    </ul>
                )
            }
        </Shown>
    );
}

function One({ problem }: { problem: Problem }): JSX.Element {
    const is = problem.severity === "critical" ? "bad" : "warn";
    return (
        <li class={`problem problem-${is}`}>
            <Icon name={is} label={is === "bad" ? "Bad" : "Warning"} />
            <a href={placeOf(problem)}>{problem.what}</a>
            <span class="muted">{problem.why}</span>
        </li>
    );
}

/** What it is about stays the same while its words change; the first, second, … about the same. */
function keyed(problems: Problem[]): [string, Problem][] {
    const seen = new Map<string, number>();
    return problems.map((problem) => {
        const about = `${problem.subject}\n${problem.pool ?? ""}\n${problem.serverId ?? ""}`;
        const nth = (seen.get(about) ?? 0) + 1;
        seen.set(about, nth);
        return [`${about}\n${nth}`, problem];
    });
}

/** Of the last ten seconds. */
function lately(columns: Columns): { requests: number; errors: number } {
    const sum = (column: Column) => column.slice(-10).reduce<number>((all, one) => all + (one ?? 0), 0);
    return { requests: sum(columns.requests), errors: sum(columns.errors) };
}

function placeOf({ subject, pool, serverId }: Problem): string {
    switch (subject) {
        case "webhook":
            return to("webhooks");
        case "config":
            return to("config");
        case "certificate":
        case "node":
            return to("events");
        case "server":
            return to("servers", { pool, server: serverId, show: serverId ? null : "out" });
        default:
            return to("servers", { pool, server: serverId });
    }
}

const share = (part: Column, all: Column): Column =>
    all.map((whole, place) => (whole === null ? null : whole > 0 ? Math.min(1, (part[place] ?? 0) / whole) : 0));

function Traffic({ lines, now, seconds }: { lines: Lines; now: Columns; seconds: number }): JSX.Element {
    const at = useMemo(() => times(lines), [lines]);
    const { node } = lines;
    const tracks = useMemo(() => {
        const track = (label: string, values: Column, colour: string, more: Partial<Track> = {}): Track => ({ label, values, colour, ...more });
        return {
            requests: [track("requests", node.requests, "series-1", { fill: true })],
            errors: [track("5xx", share(node.errors, node.requests), "series-bad", { fill: true }), track("retried", share(node.retries, node.requests), "series-2", { dash: [4, 3] })],
            latency: [track("p50", node.p50, "series-1"), track("p95", node.p95, "series-2", { dash: [6, 3] }), track("p99", node.p99, "series-3", { dash: [2, 3] })],
            active: [track("connections", node.active, "series-3", { fill: true })],
        };
    }, [node]);
    if (at.length === 0) {
        return <Empty title="No measurements yet">The first point is made ten seconds after the start; five minutes are shown second by second before.</Empty>;
    }
    const shape = { times: at, height: 132, seconds };
    const errors = lately(now);
    return (
        <div class="tiles">
            <Tile name="Requests" value={count(newest(now.requests))} unit="/s">
                <Chart {...shape} label="Requests a second" tracks={tracks.requests} show={count} />
            </Tile>
            <Tile name="Errors" value={percent(errors.requests > 0 ? errors.errors / errors.requests : 0)} unit="of answers">
                <Chart {...shape} label="Share of answers with status 500 or more" tracks={tracks.errors} show={percent} />
            </Tile>
            <Tile name="Latency, p95" value={millis(newest(now.p95))} unit="to the first byte">
                <Chart {...shape} label="Time to the first byte of an answer" tracks={tracks.latency} show={millis} />
            </Tile>
            <Tile name="Connections" value={count(newest(now.active))} unit="of clients">
                <Chart {...shape} label="Connections of clients" tracks={tracks.active} show={count} />
            </Tile>
        </div>
    );
}

function Tile({ name, value, unit, children }: { name: string; value: string; unit: string; children: JSX.Element }): JSX.Element {
    return (
        <div class="card tile">
            <h3>{name}</h3>
            <p class="figure">
                <b>{value}</b> <span class="muted">{unit}</span>
            </p>
            {children}
        </div>
    );
}

const CELLS = 60;

function Pools({ pools, hour, now }: { pools: PoolView[]; hour: Lines | null; now: Lines | null }): JSX.Element {
    if (pools.length === 0) return <Empty title="There are no pools">Add one to config.json, or with POST /api/pools.</Empty>;
    return (
        <div class="card pools" role="table" aria-label="Pools">
            <div class="pool pool-head" role="row">
                {["Pool", "Servers", "Health", "Requests", "5xx", "p95"].map((name) => (
                    <span role="columnheader" key={name}>{name}</span>
                ))}
            </div>
            {pools.map((pool) => {
                const past = hour?.pools.find((one) => one.name === pool.name);
                const line = now?.pools.find((one) => one.name === pool.name);
                const shares = past ? cells(past.up, CELLS, 360) : [];
                if (shares.length > 0) shares[CELLS - 1] = pool.total > 0 ? pool.up / pool.total : null;
                const kind = pool.up === 0 ? "down" : pool.up < pool.total ? "unstable" : "up";
                const rates = line ? lately(line) : { requests: 0, errors: 0 };
                return (
                    <div class="pool" role="row" key={pool.name}>
                        <span role="cell" class="pool-name">
                            <a href={to("servers", { pool: pool.name })}>{pool.name}</a>
                            <span class="muted">{spoken(pool.algorithm)}</span>
                        </span>
                        <span role="cell" class={`state state-${kind}`}>
                            <Icon name={kind} />
                            {pool.up} of {pool.total} up
                        </span>
                        <span role="cell" class="pool-strip">
                            <Strip shares={shares} label={`Servers of ${pool.name} that were up in each of the last 60 minutes; now ${pool.up} of ${pool.total}`} title={(cell) => `${CELLS - 1 - cell} min ago: ${percent(shares[cell])} up`} />
                        </span>
                        <span role="cell" class="number"><span class="cell-name">Requests</span>{count(line ? newest(line.requests) : null)} /s</span>
                        <span role="cell" class="number"><span class="cell-name">5xx</span>{percent(rates.requests > 0 ? Math.min(1, rates.errors / rates.requests) : 0)}</span>
                        <span role="cell" class="number"><span class="cell-name">p95</span>{millis(line ? newest(line.p95) : null)}</span>
                    </div>
                );
            })}
        </div>
    );
}
