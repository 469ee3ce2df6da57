// How a pool's requests are spread over its servers, and whether that is what their weights say.

import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { count, percent, several, spoken } from "../format.ts";
import { times, type Column } from "../history.ts";
import { Chart, type Track } from "../parts/chart.tsx";
import { Rows, useNarrow } from "../parts/rows.tsx";
import { State } from "../parts/state.tsx";
import { Empty, Loading, Shown } from "../parts/states.tsx";
import { usePoll } from "../poll.ts";
import { narrow, route, to } from "../route.ts";
import type { PoolView, ServerView } from "../shapes.ts";
import { expected, keyOf } from "../shares.ts";
import { useSignal } from "../signal.ts";

interface ServerLines {
    first: number;
    last: number;
    at: string | null;
    step: number;
    servers: { serverId: string; requests: Column }[];
    rest: { servers: number; requests: Column };
    totals: { serverId: string; requests: number }[];
}

/** As many as there are colours that can be told from each other. */
const TOP = 9;

const WINDOWS: { points: number; name: string }[] = [
    { points: 1, name: "10 s" },
    { points: 6, name: "1 min" },
    { points: 60, name: "10 min" },
    { points: 360, name: "1 h" },
];

/** By so much of what it should get a server may be off before it is said. */
const OFF = 0.1;

export function Distribution(): JSX.Element {
    const { query } = useSignal(route);
    const pools = usePoll<PoolView[]>("api/pools", 2000);
    return (
        <Shown feed={pools} lines={8}>
            {(data) => {
                const pool = data.find((one) => one.name === query.get("pool")) ?? data[0];
                if (!pool) return <Empty title="There are no pools">Add one to config.json, or with POST /api/pools.</Empty>;
                return <OfPool pools={data} pool={pool} points={Number(query.get("window")) || 6} />;
            }}
        </Shown>
    );
}

function OfPool({ pools, pool, points }: { pools: PoolView[]; pool: PoolView; points: number }): JSX.Element {
    const name = encodeURIComponent(pool.name);
    const { data } = usePoll<ServerLines>(`api/history/servers?pool=${name}&top=${TOP}&window=${points}`, 2000);
    const servers = usePoll<ServerView[]>(`api/servers?pool=${name}`, pool.total > 300 ? 5000 : 2000);
    return (
        <>
            <div class="tools">
                {pools.length > 1 && (
                    <label class="pick">
                        <span class="muted">Pool</span>
                        <select value={pool.name} onChange={(event) => narrow({ pool: event.currentTarget.value })}>
                            {pools.map((one) => <option key={one.name} value={one.name}>{one.name}</option>)}
                        </select>
                    </label>
                )}
                <span class="muted algorithm">Pool {pool.name}: {spoken(pool.algorithm).toLowerCase()}, {several(pool.total, "server")}</span>
            </div>
            <section class="card tile" aria-labelledby="over-time">
                <h2 id="over-time">Requests a second, server on server</h2>
                {data ? <Stack data={data} /> : <Loading lines={6} />}
            </section>
            <section aria-labelledby="fairness">
                <div class="section-head">
                    <h2 id="fairness">Against the weights</h2>
                    <div class="choice" role="radiogroup" aria-label="Time that shares are taken over">
                        {WINDOWS.map((one) => (
                            <label key={one.points}>
                                <input type="radio" name="window" checked={points === one.points} onChange={() => narrow({ window: String(one.points) })} />
                                <span>{one.name}</span>
                            </label>
                        ))}
                    </div>
                </div>
                {data && servers.data ? <Fairness data={data} servers={servers.data} points={points} algorithm={pool.algorithm} /> : <Loading lines={6} />}
            </section>
        </>
    );
}

function Stack({ data }: { data: ServerLines }): JSX.Element {
    const at = useMemo(() => times(data), [data]);
    const tracks = useMemo(() => {
        // The colour of a server stays when another one overtakes it.
        const ordered = [...data.servers].sort((one, other) => one.serverId.localeCompare(other.serverId, "en", { numeric: true }));
        const all: Track[] = ordered.map((one, place) => ({ label: one.serverId, values: one.requests, colour: `series-${place + 1}`, fill: true }));
        if (data.rest.servers > 0) all.push({ label: several(data.rest.servers, "other"), values: data.rest.requests, colour: "series-rest", fill: true });
        return all;
    }, [data]);
    if (at.length < 2) return <Empty title="No measurements yet">Points of servers are ten seconds long.</Empty>;
    const seconds = Math.max(300, Math.min(3600, (at.at(-1) ?? 0) - (at[0] ?? 0)));
    return <Chart times={at} tracks={tracks} show={count} label="Requests a second of each server, stacked" height={260} seconds={seconds} stacked />;
}

interface Line {
    server: ServerView;
    requests: number;
    got: number | null;
    due: number;
    /** How far it is off, as a part of what it should get; none where that is nothing, or there is no traffic. */
    off: number | null;
}

function Fairness({ data, servers, points, algorithm }: { data: ServerLines; servers: ServerView[]; points: number; algorithm: string }): JSX.Element {
    const small = useNarrow();
    const lines = useMemo(() => {
        const requests = new Map(data.totals.map((total) => [total.serverId, total.requests]));
        const all = [...requests.values()].reduce((sum, one) => sum + one, 0);
        const due = expected(servers);
        const lines = servers.map((server): Line => {
            const count = requests.get(server.serverId) ?? 0;
            const share = due.get(keyOf(server)) ?? 0;
            const got = all > 0 ? count / all : null;
            return { server, requests: count, got, due: share, off: got === null || share === 0 ? null : got / share - 1 };
        });
        return lines.sort((one, other) => Math.abs(other.off ?? 0) - Math.abs(one.off ?? 0) || one.server.serverId.localeCompare(other.server.serverId, "en", { numeric: true }));
    }, [data, servers]);
    const off = lines.filter((line) => Math.abs(line.off ?? 0) > OFF).length;
    const traffic = lines.some((line) => line.requests > 0);
    const weighs = !["least_connections", "ip_hash", "round_robin", "random"].includes(algorithm);
    const span = WINDOWS.find((one) => one.points === points)?.name ?? `${points * 10} s`;
    return (
        <>
            <p class="muted" role="status">
                {!traffic
                    ? `No requests in the last ${span}.`
                    : off === 0
                      ? `Over the last ${span} every server got what its weight gives it, give or take a tenth.`
                      : `Over the last ${span} ${several(off, "server")} got more than a tenth more or less than the weight gives.`}
                {traffic && off > 0 && !weighs ? ` ${spoken(algorithm)} does not promise it.` : ""}
            </p>
            <Rows
                items={lines}
                height={small ? 88 : 40}
                keyOf={(line) => line.server.serverId}
                label="Shares against weights, those that are off most first"
                class="fairness"
                most={460}
                head={<>{["Server", "State", "Weight", "Should get", "Got", "Off", "Requests"].map((name, place) => <span role="columnheader" class={place > 1 ? "number" : undefined} key={name}>{name}</span>)}</>}
            >
                {(line) => (
                    <>
                        <span role="cell" class="server-name"><a href={to("servers", { pool: line.server.pool, server: line.server.serverId })}>{line.server.serverId}</a></span>
                        <span role="cell"><State server={line.server} /></span>
                        <span role="cell" class="number">{line.server.weight}</span>
                        <span role="cell" class="number">{percent(line.due)}</span>
                        <span role="cell" class="number">{percent(line.got)}</span>
                        <span role="cell" class="number off"><Off off={line.off} /></span>
                        <span role="cell" class="number">{count(line.requests)}</span>
                    </>
                )}
            </Rows>
        </>
    );
}

/** To the left it got less, to the right more. */
function Off({ off }: { off: number | null }): JSX.Element {
    if (off === null) return <>–</>;
    const width = Math.min(1, Math.abs(off)) * 50;
    const words = `${off > 0.0005 ? "+" : off < -0.0005 ? "−" : ""}${percent(Math.abs(off))}`;
    return (
        <>
            <span class="off-bar" aria-hidden="true">
                <span class={Math.abs(off) > OFF ? "off-much" : "off-little"} style={{ width: `${width}%`, left: off < 0 ? `${50 - width}%` : "50%" }} />
            </span>
            <span class="off-words">{words}</span>
        </>
    );
}
