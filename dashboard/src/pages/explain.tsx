// What would become of a request, and why.

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { get } from "../api.ts";
import { percent, several, spoken } from "../format.ts";
import { reason } from "../parts/dialog.tsx";
import { Icon } from "../parts/icon.tsx";
import { Rows, useNarrow } from "../parts/rows.tsx";
import { Loading } from "../parts/states.tsx";
import { narrow, route, to } from "../route.ts";
import type { Verdict } from "../shapes.ts";
import { useSignal } from "../signal.ts";

interface Reason {
    code: string;
    keepsOut: boolean;
    reason: string;
}

interface Chance {
    serverId: string;
    address: string;
    weight: number;
    takesTraffic: boolean;
    status: Verdict;
    share: number;
    activeConnections: number;
    reasons: Reason[];
    standing?: string;
}

interface Explanation {
    summary: string;
    outcome: string;
    listener: { name: string; addresses: string[]; tls: boolean; reason: string };
    failure: { code: string; status: number; fallback: boolean; now: boolean } | null;
    routesNotTried: number;
    routes: { name: string; place: number; pool: string; matched: boolean; unmet: { condition: string; reason: string }[] }[];
    pool?: string | null;
    choice?: { algorithm: string; how: string; next?: string | null } | null;
    servers: Chance[];
    terms?: { retry: { attempts: number; rule: string }; timeouts: Record<string, string>; limits: Record<string, number>; filters: string[] } | null;
}

const FIELDS = ["method", "host", "path", "clientIp"] as const;

export function Explain(): JSX.Element {
    const { query } = useSignal(route);
    const [asked, setAsked] = useState({
        method: query.get("method") ?? "GET",
        host: query.get("host") ?? "",
        path: query.get("path") ?? "/",
        clientIp: query.get("clientIp") ?? "",
        // Not in the address: they may be secret.
        headers: "",
    });
    const [answer, setAnswer] = useState<{ is: "asking" | "none" } | { is: "known"; data: Explanation } | { is: "refused"; why: string }>({ is: "none" });
    const ask = async () => {
        setAnswer((before) => (before.is === "known" ? before : { is: "asking" }));
        narrow({ method: asked.method, host: asked.host || null, path: asked.path, clientIp: asked.clientIp || null });
        const terms = new URLSearchParams();
        for (const name of FIELDS) if (asked[name].trim() !== "") terms.set(name, asked[name].trim());
        for (const line of asked.headers.split("\n")) if (line.trim() !== "") terms.append("header", line.trim());
        try {
            setAnswer({ is: "known", data: await get<Explanation>(`api/explain?${terms}`) });
        } catch (error) {
            setAnswer({ is: "refused", why: reason(error) });
        }
    };
    useEffect(() => {
        if (query.has("path")) void ask();
    }, []);
    const field = (name: (typeof FIELDS)[number], label: string, hint: string): JSX.Element => (
        <label class={`field field-${name}`}>
            <span>{label}</span>
            <input type="text" name={name} value={asked[name]} placeholder={hint} spellcheck={false} autocapitalize="off" onInput={(event) => setAsked({ ...asked, [name]: event.currentTarget.value })} />
        </label>
    );
    return (
        <>
            <form class="card explain-form" onSubmit={(event) => { event.preventDefault(); void ask(); }}>
                {field("method", "Method", "GET")}
                {field("host", "Host", "the listener's own")}
                {field("path", "Path and query", "/")}
                {field("clientIp", "Client's address", "somebody unknown")}
                <label class="field field-headers">
                    <span>Headers, one a line</span>
                    <textarea rows={2} name="headers" value={asked.headers} placeholder="x-beta: 1" spellcheck={false} onInput={(event) => setAsked({ ...asked, headers: event.currentTarget.value })} />
                </label>
                <div class="buttons"><button type="submit" class="primary">Explain</button></div>
                <p class="muted">Nothing is sent and nothing is counted: the node says what it would do.</p>
            </form>
            <div aria-live="polite" class="answers">
                {answer.is === "asking" && <Loading lines={6} />}
                {answer.is === "refused" && <p class="refused wrong"><Icon name="bad" /> {answer.why}</p>}
                {answer.is === "known" && <Answer data={answer.data} />}
            </div>
        </>
    );
}

function Step({ name, children }: { name: string; children: ComponentChildren }): JSX.Element {
    return (
        <section class="card step">
            <h2>{name}</h2>
            {children}
        </section>
    );
}

function Answer({ data }: { data: Explanation }): JSX.Element {
    const small = useNarrow();
    const good = data.outcome === "forwarded" || data.outcome === "redirected";
    const choice = data.choice ?? null;
    return (
        <>
            <p class={good ? "now now-good" : "now problem problem-bad"}>
                <Icon name={good ? "good" : "bad"} />
                <span><strong>{spoken(data.outcome)}.</strong> {data.summary}</span>
            </p>
            <Step name={`Listener ${data.listener.name}`}>
                <p class="muted">
                    {data.listener.addresses.join(", ")}
                    {data.listener.tls ? ", with TLS" : ""}; {data.listener.reason}
                </p>
            </Step>
            {data.routes.length > 0 && (
                <Step name="Routes, in the order in which they are asked">
                    <ol class="routes">
                        {data.routes.map((one) => (
                            <li key={one.place} class={one.matched ? "route-on" : undefined}>
                                <Icon name={one.matched ? "good" : "close"} label={one.matched ? "Matched" : "Not matched"} />
                                <span><b>{one.name}</b> <span class="muted">to pool {one.pool}</span></span>
                                <span class="muted">{one.matched ? "takes the request" : one.unmet.length > 0 ? one.unmet.map((each) => each.reason).join("; ") : "not asked any more"}</span>
                            </li>
                        ))}
                    </ol>
                    {data.routesNotTried > 0 && <p class="muted">{several(data.routesNotTried, "route")} behind it {data.routesNotTried === 1 ? "was" : "were"} not asked.</p>}
                </Step>
            )}
            {data.pool && (
                <Step name={`Pool ${data.pool}`}>
                    {choice && <p class="muted">{spoken(choice.algorithm)}: {choice.how}{choice.next ? <>; now it would be <a href={to("servers", { pool: data.pool, server: choice.next })}>{choice.next}</a></> : null}</p>}
                    <p class="muted">{data.servers.filter((one) => one.takesTraffic).length} of {several(data.servers.length, "server")} could take it.</p>
                    {data.servers.length > 0 && <Rows items={data.servers} height={small ? 84 : 40} keyOf={(one) => one.serverId} label="Servers, in order" class="chances" most={420} head={<>{["Server", "Takes it", "Weight", "Why"].map((name) => <span role="columnheader" key={name}>{name}</span>)}</>}>
                        {(one) => (
                            <>
                                <span role="cell" class="server-name"><a href={to("servers", { pool: data.pool ?? null, server: one.serverId })}>{one.serverId}</a></span>
                                <span role="cell" class={`event-name event-${one.takesTraffic ? "good" : "bad"}`}><Icon name={one.takesTraffic ? "good" : "close"} />{one.takesTraffic ? "Yes" : "No"}</span>
                                <span role="cell">{one.weight}{one.share < 1000 ? ` (${percent(one.share / 1000)})` : ""}</span>
                                <span role="cell" class="muted chance-why" title={one.standing}>{one.reasons.map((each) => each.reason).join("; ") || one.standing || ""}</span>
                            </>
                        )}
                    </Rows>}
                </Step>
            )}
            {data.terms && (
                <Step name="What would hold for it">
                    <dl class="terms">
                        <dt>Retries</dt><dd>{data.terms.retry.rule}</dd>
                        <dt>Time-outs</dt><dd>{Object.entries(data.terms.timeouts).map(([name, value]) => <span key={name} class="pair"><span class="muted">{name}</span> {value}</span>)}</dd>
                        <dt>Limits</dt><dd>{Object.entries(data.terms.limits).map(([name, value]) => <span key={name} class="pair"><span class="muted">{name}</span> {value}</span>)}</dd>
                        {data.failure && <><dt>On failure</dt><dd>{data.failure.now ? "now" : "if no server could take it"}: {data.failure.status === 0 ? "no answer" : data.failure.status} ({data.failure.code}{data.failure.fallback ? ", by the pool's fallback" : ""})</dd></>}
                        {data.terms.filters.length > 0 && <><dt>Edits</dt><dd><ul>{data.terms.filters.map((line) => <li key={line}>{line}</li>)}</ul></dd></>}
                    </dl>
                </Step>
            )}
        </>
    );
}
