// What is wrong now, in words, the worst first. Nothing in here asks or draws.

import { percent, several, span } from "./format.ts";
import type { PoolRecovery, PoolView, ServerView, Versions, Webhook } from "./shapes.ts";

export interface Trouble {
    grave: "bad" | "warn" | "note";
    what: string;
    why: string;
    /** Where more of it is. */
    to: string;
}

export interface Known {
    pools?: PoolView[] | undefined;
    /** Servers that may not have new traffic. */
    out?: ServerView[] | undefined;
    versions?: Versions | undefined;
    webhooks?: Webhook[] | undefined;
    recoveries?: PoolRecovery[] | undefined;
    /** Of the last ten seconds. */
    rates?: { requests: number; errors: number } | undefined;
    now: number;
}

/** Servers that are named one by one; more are counted. */
const NAMED = 5;
/** Share of answers with 5xx from which on it is said, and from which on it is bad. */
const SOME_ERRORS = 0.01;
const MANY_ERRORS = 0.05;

export function troubles(known: Known): Trouble[] {
    const all = [
        ...(known.pools ?? []).flatMap((pool) => ofPool(pool, known)),
        ...ofServers(known),
        ...ofErrors(known),
        ...ofConfig(known),
        ...ofWebhooks(known),
        ...ofRecoveries(known),
    ];
    const order = { bad: 0, warn: 1, note: 2 };
    return all.sort((one, other) => order[one.grave] - order[other.grave]);
}

function ofPool(pool: PoolView, known: Known): Trouble[] {
    if (pool.up > 0 || pool.total === 0) return [];
    const put = (known.out ?? []).filter((server) => server.pool === pool.name);
    const byHand = put.length > 0 && put.every((server) => server.state !== "active");
    return [
        {
            grave: "bad",
            what: `Pool ${pool.name} has no server for new requests`,
            why: byHand ? "all of them are drained or in maintenance" : `0 of ${pool.total} are up`,
            to: `#/servers?pool=${encodeURIComponent(pool.name)}`,
        },
    ];
}

function ofServers({ out = [], now }: Known): Trouble[] {
    const sick = out.filter((server) => server.state === "active" && (server.status === "down" || server.status === "unstable"));
    const byPool = new Map<string, ServerView[]>();
    for (const server of sick) byPool.set(server.pool, [...(byPool.get(server.pool) ?? []), server]);
    return [...byPool].flatMap(([pool, servers]) => {
        const to = `#/servers?pool=${encodeURIComponent(pool)}&show=out`;
        if (servers.length > NAMED) {
            const reasons = new Set(servers.map((server) => server.reason));
            const why = reasons.size === 1 ? [...reasons][0]! : `for ${several(reasons.size, "reason")}`;
            return [{ grave: "warn" as const, what: `${several(servers.length, "server")} of pool ${pool} are out`, why, to }];
        }
        return servers.map((server) => ({
            grave: "warn" as const,
            what: `${server.serverId} (pool ${pool}) is ${server.status}`,
            why: `${server.reason}, for ${span((now - Date.parse(server.since)) / 1000)}`,
            to: `#/servers?pool=${encodeURIComponent(pool)}&server=${encodeURIComponent(server.serverId)}`,
        }));
    });
}

function ofErrors({ rates }: Known): Trouble[] {
    if (!rates || rates.requests < 1) return [];
    const share = Math.min(1, rates.errors / rates.requests);
    if (share < SOME_ERRORS) return [];
    return [
        {
            grave: share >= MANY_ERRORS ? "bad" : "warn",
            what: `${percent(share)} of answers are errors`,
            why: "status 500 or more, over the last ten seconds",
            to: "#/servers",
        },
    ];
}

function ofConfig({ versions, now }: Known): Trouble[] {
    if (!versions) return [];
    const all: Trouble[] = [];
    const to = "#/config";
    if (versions.refused) {
        const { origin, reason, at } = versions.refused;
        const why = `${reason} (${origin}, ${span((now - Date.parse(at)) / 1000)} ago)`;
        all.push({ grave: "warn", what: "The last change of the configuration was refused", why, to });
    }
    if (versions.confirmUntil) {
        const left = span((Date.parse(versions.confirmUntil) - now) / 1000);
        all.push({ grave: "warn", what: `Version ${versions.current} waits to be confirmed`, why: `it is undone in ${left}`, to });
    }
    if (versions.unsaved) {
        all.push({ grave: "warn", what: "The configuration in force is not in the file", why: versions.unsaved, to });
    }
    return all;
}

function ofWebhooks({ webhooks = [] }: Known): Trouble[] {
    return webhooks
        .filter((webhook) => webhook.state === "failing" || webhook.state === "open")
        .map((webhook) => ({
            grave: "warn",
            what: `Webhook ${webhook.name} is not delivered`,
            why: `${webhook.lastError ?? "no answer"}; ${several(webhook.waiting, "message")} waiting`,
            to: "#/webhooks",
        }));
}

function ofRecoveries({ recoveries = [] }: Known): Trouble[] {
    return recoveries.flatMap((pool) => {
        const to = `#/servers?pool=${encodeURIComponent(pool.pool)}`;
        const held: Trouble[] = pool.held
            ? [{ grave: "warn", what: `Recovery of pool ${pool.pool} is held`, why: pool.held.reason, to }]
            : [];
        const lost = pool.servers
            .filter((server) => server.state === "given_up")
            .map((server): Trouble => ({
                grave: "warn",
                what: `Recovery of ${server.server} was given up`,
                why: `after ${several(server.attemptsInARow, "attempt")} in a row`,
                to: `${to}&server=${encodeURIComponent(server.server)}`,
            }));
        return [...held, ...lost];
    });
}
