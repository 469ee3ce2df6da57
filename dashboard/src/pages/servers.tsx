// Pools and their servers: how each does, and what can be done about it.

import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { setAlgorithm } from "../actions.ts";
import { get } from "../api.ts";
import { count, millis, percent, several, spoken } from "../format.ts";
import type { Column } from "../history.ts";
import { Spark } from "../parts/chart.tsx";
import { Icon } from "../parts/icon.tsx";
import { Rows, useNarrow } from "../parts/rows.tsx";
import { standing, State } from "../parts/state.tsx";
import { Empty, Shown, useBar } from "../parts/states.tsx";
import { usePoll } from "../poll.ts";
import { narrow, route, to } from "../route.ts";
import type { PoolView, ServerView } from "../shapes.ts";
import { expected, keyOf, rates, read, type Rate, type Reading } from "../shares.ts";
import { useSignal } from "../signal.ts";
import { Detail } from "./server.tsx";

/** How often servers are asked for, in milliseconds: two thousand are 1.5 MB. */
const often = (servers: number): number => (servers > 300 ? 5000 : servers > 50 ? 2000 : 1000);

export interface Line {
    server: ServerView;
    rate: Rate | null;
    expected: number;
}

export function useServers(): { lines: Line[]; feed: ReturnType<typeof usePoll<ServerView[]>> } {
    const [every, setEvery] = useState(2000);
    const feed = usePoll<ServerView[]>("api/servers", every);
    const readings = useRef<Reading[]>([]);
    const lines = useMemo(() => {
        if (!feed.data) return [];
        setEvery(often(feed.data.length));
        readings.current = read(readings.current, feed.data, feed.at);
        const got = rates(readings.current, feed.data);
        const due = expected(feed.data);
        return feed.data.map((server) => ({ server, rate: got.get(keyOf(server)) ?? null, expected: due.get(keyOf(server)) ?? 0 }));
    }, [feed.data]);
    return { lines, feed };
}

type Order = "state" | "server" | "share" | "rate" | "active" | "latency" | "weight";
const WORST: Record<string, number> = { down: 0, unstable: 1, unknown: 2, maintenance: 3, drain: 4, up: 5 };

const KEYS: Record<Order, (line: Line) => number | string> = {
    state: (line) => WORST[standing(line.server).kind] ?? 9,
    server: (line) => line.server.serverId,
    share: (line) => -(line.rate?.share ?? -1),
    rate: (line) => -(line.rate?.rate ?? -1),
    active: (line) => -line.server.activeConnections,
    latency: (line) => -(line.server.latency.p99 ?? -1),
    weight: (line) => -line.server.weight,
};

const natural = new Intl.Collator("en", { numeric: true });

export function sorted(lines: Line[], order: Order, backwards: boolean): Line[] {
    const key = KEYS[order];
    const sign = backwards ? -1 : 1;
    // Keys are made once: a comparison for each pair would make them anew eleven times over.
    return lines
        .map((line) => ({ line, key: key(line) }))
        .sort((one, other) => {
            const first = typeof one.key === "string" ? natural.compare(one.key, String(other.key)) : one.key - Number(other.key);
            return sign * (first || natural.compare(one.line.server.serverId, other.line.server.serverId));
        })
        .map(({ line }) => line);
}

export function Servers(): JSX.Element {
    const { query } = useSignal(route);
    const pools = usePoll<PoolView[]>("api/pools", 2000);
    const { lines, feed } = useServers();
    const [text, setText] = useState("");
    const pool = query.get("pool");
    const show = query.get("show") ?? "all";
    const order = (query.get("order") ?? "state") as Order;
    const backwards = query.get("back") === "1";
    const shown = useMemo(() => {
        const words = text.toLowerCase().split(/\s+/).filter((word) => word !== "");
        const found = lines.filter(({ server }) => {
            if (pool && server.pool !== pool) return false;
            if (show === "out" && (server.eligible || server.state !== "active")) return false;
            if (show === "aside" && server.state === "active") return false;
            const all = `${server.serverId} ${server.pool} ${server.host} ${server.resolved ?? ""} ${standing(server).word} ${server.reason}`.toLowerCase();
            return words.every((word) => all.includes(word));
        });
        return sorted(found, order in KEYS ? order : "state", backwards);
    }, [lines, text, pool, show, order, backwards]);
    const chosen = lines.find(({ server }) => server.serverId === query.get("server") && (!pool || server.pool === pool));
    return (
        <>
            <Shown feed={pools}>{(data) => <PoolCards pools={data} chosen={pool} />}</Shown>
            <section aria-label="Servers">
                <div class="tools">
                    <label class="search">
                        <Icon name="search" />
                        <input type="search" placeholder="Search by name, address, state, reason" aria-label="Search servers" value={text} onInput={(event) => setText(event.currentTarget.value)} />
                    </label>
                    <label class="pick">
                        <span class="sr">Show</span>
                        <select value={show} onChange={(event) => narrow({ show: event.currentTarget.value === "all" ? null : event.currentTarget.value })}>
                            <option value="all">All servers</option>
                            <option value="out">Out by health</option>
                            <option value="aside">Set aside by hand</option>
                        </select>
                    </label>
                    <span class="muted" role="status">
                        {shown.length === lines.length ? several(lines.length, "server") : `${shown.length} of ${several(lines.length, "server")}`}
                    </span>
                </div>
                <Shown feed={feed} lines={8}>
                    {() =>
                        lines.length === 0 ? (
                            <Empty title="There are no servers">Add one to a pool in config.json, or with POST /api/servers.</Empty>
                        ) : shown.length === 0 ? (
                            <Empty title="No server is like that">
                                <button type="button" class="link" onClick={() => { setText(""); narrow({ pool: null, show: null }); }}>
                                    Show all
                                </button>
                            </Empty>
                        ) : (
                            <Table lines={shown} order={order} backwards={backwards} pool={pool} />
                        )
                    }
                </Shown>
            </section>
            {chosen && <Detail key={keyOf(chosen.server)} line={chosen} close={() => narrow({ server: null })} />}
        </>
    );
}

function PoolCards({ pools, chosen }: { pools: PoolView[]; chosen: string | null }): JSX.Element {
    const algorithms = usePoll<string[]>("api/algorithms", 600_000);
    const bar = useBar();
    return (
        <ul class="pool-cards">
            {pools.map((pool) => {
                const kind = pool.up === 0 ? "down" : pool.up < pool.total ? "unstable" : "up";
                const on = chosen === pool.name;
                return (
                    <li key={pool.name} class={on ? "card pool-card pool-card-on" : "card pool-card"}>
                        <div class="pool-card-head">
                            <button type="button" class="pool-pick" aria-pressed={on} onClick={() => narrow({ pool: on ? null : pool.name, server: null })}>
                                {pool.name}
                            </button>
                            <span class={`state state-${kind}`}>
                                <Icon name={kind} />
                                {pool.up} of {pool.total} up
                            </span>
                        </div>
                        <div class="pool-card-row">
                            <label class="pick" title={bar ?? undefined}>
                                <span class="muted">Algorithm</span>
                                <select value={pool.algorithm} disabled={bar !== null} aria-label={`Algorithm of pool ${pool.name}`} onChange={(event) => {
                                    const wanted = event.currentTarget.value;
                                    event.currentTarget.value = pool.algorithm;
                                    setAlgorithm(pool, wanted);
                                }}>
                                    {(algorithms.data ?? [pool.algorithm]).map((name) => (
                                        <option key={name} value={name}>{spoken(name)}</option>
                                    ))}
                                </select>
                            </label>
                        </div>
                        <dl class="facts">
                            <div><dt>Requests</dt><dd>{count(pool.requests)}</dd></div>
                            <div><dt>Failed</dt><dd>{count(pool.failures)}</dd></div>
                            <div><dt>Retries</dt><dd>{count(pool.retries)}</dd></div>
                        </dl>
                    </li>
                );
            })}
        </ul>
    );
}

const HEADS: { order: Order; name: string; number?: boolean }[] = [
    { order: "server", name: "Server" },
    { order: "state", name: "State" },
    { order: "share", name: "Share of traffic" },
    { order: "rate", name: "Requests", number: true },
    { order: "active", name: "Active", number: true },
    { order: "latency", name: "p50 / p99", number: true },
    { order: "weight", name: "Weight", number: true },
];

function Table({ lines, order, backwards, pool }: { lines: Line[]; order: Order; backwards: boolean; pool: string | null }): JSX.Element {
    const small = useNarrow();
    const [view, setView] = useState<[number, number]>([0, 30]);
    const sparks = useSparks(lines.slice(...view));
    const head = (
        <>
            {HEADS.map((one) => (
                <span key={one.order} role="columnheader" class={one.number ? "number" : undefined} aria-sort={order === one.order ? (backwards ? "descending" : "ascending") : undefined}>
                    <button type="button" class="sorter" onClick={() => narrow({ order: one.order, back: order === one.order && !backwards ? "1" : null })}>
                        {one.name}
                        {order === one.order && <Icon name={backwards ? "descending" : "ascending"} />}
                    </button>
                </span>
            ))}
            <span role="columnheader" class="spark-cell" title="The mean time to the first byte over ten minutes">Latency</span>
        </>
    );
    return (
        <Rows items={lines} height={small ? 78 : 44} keyOf={(line) => keyOf(line.server)} label="Servers" head={head} class="servers" seen={(first, last) => setView([first, last])}>
            {(line) => <Cells line={line} spark={sparks.get(keyOf(line.server)) ?? []} pool={pool} />}
        </Rows>
    );
}

function Cells({ line, spark, pool }: { line: Line; spark: Column; pool: string | null }): JSX.Element {
    const { server, rate } = line;
    return (
        <>
            <span role="cell" class="server-name">
                <a href={to("servers", { ...Object.fromEntries(route.get().query), pool: pool ?? server.pool, server: server.serverId })} onClick={(event) => { event.preventDefault(); narrow({ pool: server.pool, server: server.serverId }); }}>
                    {server.serverId}
                </a>
                <span class="muted">{pool ? (server.resolved ?? server.host) : server.pool}</span>
            </span>
            <span role="cell" class="server-state" title={server.reason}>
                <State server={server} />
                <span class="muted server-reason">{server.status === "up" && server.state === "active" ? "" : server.reason}</span>
            </span>
            <span role="cell">
                <Share rate={rate} expected={line.expected} />
            </span>
            <span role="cell" class="number">{rate ? `${count(rate.rate)} /s` : "–"}</span>
            <span role="cell" class="number server-active">{count(server.activeConnections)}</span>
            <span role="cell" class="number server-latency">{millis(server.latency.p50)} / {millis(server.latency.p99)}</span>
            <span role="cell" class="number server-weight">{server.weight}</span>
            <span role="cell" class="spark-cell"><Spark values={spark} label={`Mean latency of ${server.serverId} over ten minutes`} /></span>
        </>
    );
}

/** What it got as a bar, and what its weight gives it as a mark across. */
export function Share({ rate, expected }: { rate: Rate | null; expected: number }): JSX.Element {
    const got = rate?.share ?? null;
    // Small shares of many servers would all be nothing: the scale is what it should get, twice.
    const scale = Math.min(1, Math.max(expected * 2, got ?? 0, 0.001));
    return (
        <span class="share" title={`${percent(got)} of its pool's requests; its weight gives it ${percent(expected)}`}>
            <span class="share-bar" aria-hidden="true">
                <span class="share-got" style={{ width: `${((got ?? 0) / scale) * 100}%` }} />
                <span class="share-due" style={{ left: `${(expected / scale) * 100}%` }} />
            </span>
            <span class="share-words">
                <b>{percent(got)}</b> <span class="muted">of {percent(expected)}</span>
            </span>
        </span>
    );
}

interface ServerLines {
    servers: { serverId: string; latency: Column }[];
}

/** Points of ten minutes. */
const TEN_MINUTES = 60;
/** Before rows that scroll by are asked for, in milliseconds. */
const REST = 200;

/** The latency of those in sight, asked for pool by pool. */
function useSparks(lines: Line[]): Map<string, Column> {
    const [known, setKnown] = useState(new Map<string, Column>());
    const wanted = useMemo(() => {
        const pools = new Map<string, string[]>();
        for (const { server } of lines) {
            if (!server.serverId.includes(",")) pools.set(server.pool, [...(pools.get(server.pool) ?? []), server.serverId]);
        }
        return [...pools].map(([pool, ids]) => `pool=${encodeURIComponent(pool)}&servers=${encodeURIComponent(ids.sort().join(","))}`).sort();
    }, [lines]);
    useEffect(() => {
        let timer: ReturnType<typeof setTimeout>;
        const ends = new AbortController();
        const ask = async () => {
            for (const terms of wanted) {
                const pool = new URLSearchParams(terms).get("pool") ?? "";
                try {
                    const { servers } = await get<ServerLines>(`api/history/servers?${terms}`, ends.signal);
                    setKnown((before) => {
                        const all = new Map([...before].slice(-500));
                        for (const one of servers) all.set(`${pool}\n${one.serverId}`, one.latency.slice(-TEN_MINUTES));
                        return all;
                    });
                } catch {
                    if (ends.signal.aborted) return;
                }
            }
            timer = setTimeout(() => void ask(), 10_000);
        };
        timer = setTimeout(() => void ask(), REST);
        return () => {
            clearTimeout(timer);
            ends.abort();
        };
    }, [wanted.join(" ")]);
    return known;
}
