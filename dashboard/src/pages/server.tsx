// One server: why it stands as it does, how it went, and what can be done.

import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { recover, setState, setWeight } from "../actions.ts";
import { ago, clock, count, millis, percent, span, spoken } from "../format.ts";
import { times, type Column } from "../history.ts";
import { Chart, Strip } from "../parts/chart.tsx";
import { Icon } from "../parts/icon.tsx";
import { State } from "../parts/state.tsx";
import { Empty, Shown, useBar } from "../parts/states.tsx";
import { useNow, usePoll } from "../poll.ts";
import type { HistoryEntry, PoolRecovery, ServerHealth, ServerRecovery, ServerView } from "../shapes.ts";
import { Share, type Line } from "./servers.tsx";

export function Detail({ line, close }: { line: Line; close: () => void }): JSX.Element {
    const { server, rate } = line;
    const box = useRef<HTMLElement>(null);
    const now = useNow();
    const terms = `pool=${encodeURIComponent(server.pool)}`;
    const health = usePoll<ServerHealth>(`api/servers/${encodeURIComponent(server.serverId)}/health?${terms}`, 2000);
    const recoveries = usePoll<PoolRecovery[]>("api/recoveries", 3000);
    const recovery = recoveries.data?.find((one) => one.pool === server.pool)?.servers.find((one) => one.server === server.serverId);
    useEffect(() => {
        const before = document.activeElement;
        box.current?.focus();
        const heard = (event: KeyboardEvent) => {
            if (event.key === "Escape" && !document.querySelector("dialog[open]")) close();
        };
        addEventListener("keydown", heard);
        return () => {
            removeEventListener("keydown", heard);
            if (before instanceof HTMLElement && before.isConnected) before.focus();
        };
    }, []);
    return (
        <aside class="detail" ref={box} tabIndex={-1} aria-label={`Server ${server.serverId}`}>
            <div class="detail-head">
                <div>
                    <h2>{server.serverId}</h2>
                    <p class="muted">
                        pool {server.pool}, {server.port ? `${server.host}:${server.port}` : server.host}
                        {server.resolved && !server.resolved.startsWith(server.host) ? ` (${server.resolved})` : ""}
                    </p>
                </div>
                <button type="button" class="quiet" aria-label="Close" onClick={close}>
                    <Icon name="close" />
                </button>
            </div>
            <div class="verdict">
                <State server={server} />
                <p>
                    {server.state === "active" ? server.reason : `set to ${server.state} by hand; its probes say: ${server.reason}`}, {span((now - Date.parse(server.since)) / 1000)}
                    {server.eligible ? "" : ". It gets no new requests."}
                </p>
            </div>
            {health.data?.explanation && health.data.explanation.wouldChange.length > 0 && (
                <ul class="would" aria-label="What would change that">
                    {health.data.explanation.wouldChange.map((line) => <li key={line}>{line}</li>)}
                </ul>
            )}
            <Actions server={server} recovery={recovery} />
            <dl class="facts facts-wide">
                <div><dt>Share of the pool</dt><dd><Share rate={rate} expected={line.expected} /></dd></div>
                <div><dt>Requests</dt><dd>{rate ? `${count(rate.rate)} /s` : "–"}</dd></div>
                <div><dt>Active</dt><dd>{count(server.activeConnections)}</dd></div>
                <div><dt>Failed attempts</dt><dd>{count(server.failures)}</dd></div>
                <div><dt>p50 / p99</dt><dd>{millis(server.latency.p50)} / {millis(server.latency.p99)}</dd></div>
            </dl>
            <Latency server={server} />
            <Shown feed={health} lines={5}>{(data) => <Health data={data} now={now} />}</Shown>
            {recovery && <Recovery recovery={recovery} now={now} />}
        </aside>
    );
}

function Actions({ server, recovery }: { server: ServerView; recovery: ServerRecovery | undefined }): JSX.Element {
    const bar = useBar();
    const [weight, setText] = useState(String(server.weight));
    useEffect(() => setText(String(server.weight)), [server.weight]);
    const wanted = /^\d{1,4}$/.test(weight.trim()) ? Number(weight) : null;
    const why = bar === null ? undefined : `Not possible: ${bar}`;
    const fits = wanted !== null && wanted <= 1000;
    return (
        <div class="actions">
            <div class="buttons buttons-left">
                {server.state !== "active" && <button type="button" disabled={bar !== null} title={why} onClick={() => setState(server, "active")}>Activate</button>}
                {server.state !== "drain" && <button type="button" disabled={bar !== null} title={why} onClick={() => setState(server, "drain")}>Drain</button>}
                {server.state !== "maintenance" && <button type="button" disabled={bar !== null} title={why} onClick={() => setState(server, "maintenance")}>Maintenance</button>}
                {recovery && <button type="button" disabled={bar !== null || recovery.state === "acting"} title={why} onClick={() => recover(server)}>Recover now</button>}
                <form class="weight" onSubmit={(event) => { event.preventDefault(); if (fits && wanted !== server.weight) setWeight(server, wanted); }}>
                    <label class="pick">
                        <span class="muted">Weight</span>
                        <input type="text" inputMode="numeric" name="weight" value={weight} disabled={bar !== null} aria-invalid={!fits} onInput={(event) => setText(event.currentTarget.value)} />
                    </label>
                    <button type="submit" disabled={bar !== null || !fits || wanted === server.weight} title={why}>Set</button>
                </form>
            </div>
            {!fits && <p class="wrong">A weight is a whole number from 0 to 1000.</p>}
            {why && <p class="muted reason"><Icon name="note" /> {why}.</p>}
        </div>
    );
}

interface ServerLines {
    first: number;
    last: number;
    at: string | null;
    step: number;
    servers: { serverId: string; requests: Column; failures: Column; latency: Column }[];
}

function Latency({ server }: { server: ServerView }): JSX.Element | null {
    const path = `api/history/servers?pool=${encodeURIComponent(server.pool)}&servers=${encodeURIComponent(server.serverId)}`;
    const { data } = usePoll<ServerLines>(server.serverId.includes(",") ? null : path, 5000);
    const one = data?.servers[0];
    const shown = useMemo(() => {
        if (!data || !one) return null;
        return {
            at: times(data),
            latency: [{ label: "mean", values: one.latency, colour: "series-1" }],
            requests: [
                { label: "requests", values: one.requests, colour: "series-1", fill: true },
                { label: "failed", values: one.failures, colour: "series-bad", fill: true },
            ],
        };
    }, [data]);
    if (!shown || shown.at.length < 2) return null;
    return (
        <section class="detail-charts">
            <h3>Time to the first byte, the last hour</h3>
            <Chart times={shown.at} tracks={shown.latency} show={millis} label="Time to the first byte" height={96} seconds={3600} />
            <h3>Attempts a second</h3>
            <Chart times={shown.at} tracks={shown.requests} show={count} label="Attempts a second" height={96} seconds={3600} />
        </section>
    );
}

function Health({ data, now }: { data: ServerHealth; now: number }): JSX.Element {
    const { shares, step } = data.timeline;
    // 240 pieces of six minutes are narrower than a pixel of a phone: four make one, and the worst of them counts.
    const cells = useMemo(() => pieces(shares, 60), [shares]);
    const width = (step * shares.length) / cells.length;
    const when = (cell: number) => clock(now - (cells.length - cell) * width * 1000, now).slice(-8, -3);
    return (
        <section>
            <h3>Uptime, the last 24 hours</h3>
            <Strip shares={cells} label={`Uptime of the last 24 hours: ${percent(data.uptime["24h"])}`} title={(cell) => `from ${when(cell)}: ${cells[cell] === null ? "not known" : `${percent(cells[cell])} up`}`} />
            <dl class="facts">
                <div><dt>1 h</dt><dd>{percent(data.uptime["1h"])}</dd></div>
                <div><dt>24 h</dt><dd>{percent(data.uptime["24h"])}</dd></div>
                <div><dt>Since the start</dt><dd>{percent(data.uptime.sinceStart)}</dd></div>
            </dl>
            <h3>Probes</h3>
            <p class="muted">
                {data.probe === "off"
                    ? "It is not probed; requests alone tell how it does."
                    : `${data.probe}, the next one ${data.nextProbeIn <= 0 ? "now" : `in ${millis(data.nextProbeIn)}`}${data.trend ? `; good ones take ${millis(data.trend.recent.p50)}${data.trend.before ? `, before ${millis(data.trend.before.p50)}` : ""}` : ""}`}
            </p>
            {data.history.length === 0 ? <Empty title="Nothing has been seen yet" /> : <Probes entries={data.history.slice(0, 40)} now={now} />}
        </section>
    );
}

function pieces(shares: Column, wanted: number): Column {
    const width = Math.ceil(shares.length / wanted);
    const all: Column = [];
    for (let end = shares.length; end > 0; end -= width) {
        const known = shares.slice(Math.max(0, end - width), end).filter((share) => share !== null);
        all.unshift(known.length === 0 ? null : Math.min(...known));
    }
    return all;
}

function Probes({ entries, now }: { entries: HistoryEntry[]; now: number }): JSX.Element {
    return (
        <ol class="probes" tabIndex={0} aria-label="The last probes and changes">
            {entries.map((entry, place) => {
                const kind = entry.what === "probe_ok" ? "good" : entry.what === "probe_failed" ? "bad" : "note";
                const words =
                    entry.what === "changed"
                        ? `${spoken(entry.from ?? "")} to ${entry.to ?? ""}`
                        : entry.what === "probe_ok"
                          ? `Good${entry.status ? `, ${entry.status}` : ""}`
                          : `Failed${entry.status ? `, ${entry.status}` : ""}`;
                return (
                    <li key={place} class={`probe probe-${kind}`}>
                        <Icon name={kind} />
                        <span class="probe-words">{words}{entry.reason ? <span class="muted"> {entry.reason}</span> : null}</span>
                        <span class="number">{entry.latency === undefined ? "" : millis(entry.latency)}</span>
                        <time class="muted number" dateTime={entry.at}>{clock(entry.at, now)}</time>
                    </li>
                );
            })}
        </ol>
    );
}

function Recovery({ recovery, now }: { recovery: ServerRecovery; now: number }): JSX.Element {
    return (
        <section>
            <h3>Recovery</h3>
            <p class="muted">
                By {recovery.action}; {recovery.state.replace("_", " ")}
                {recovery.until ? ` until ${clock(recovery.until, now)}` : ""}
            </p>
            <dl class="facts">
                <div><dt>Attempts</dt><dd>{recovery.attempts}</dd></div>
                <div><dt>Success rate</dt><dd>{percent(recovery.successRate)}</dd></div>
                <div><dt>Mean time to recover</dt><dd>{millis(recovery.meanTimeToRecover)}</dd></div>
            </dl>
            {recovery.lastAttempts.length > 0 && (
                <ol class="probes" tabIndex={0} aria-label="The last recovery attempts">
                    {recovery.lastAttempts.map((one) => (
                        <li key={one.startedAt} class="probe">
                            <Icon name={one.outcome === "succeeded" ? "good" : one.outcome === "under_way" ? "note" : "bad"} />
                            <span class="probe-words">
                                {spoken(one.outcome)} <span class="muted">{one.problem ?? one.reason}</span>
                            </span>
                            <span class="number">{millis(one.took)}</span>
                            <time class="muted number" dateTime={one.startedAt}>{ago(one.startedAt, now)}</time>
                        </li>
                    ))}
                </ol>
            )}
        </section>
    );
}
