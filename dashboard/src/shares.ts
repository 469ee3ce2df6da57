// How traffic is spread, against how it should be. Nothing in here asks or draws.

import type { ServerView } from "./shapes.ts";

/** What is enough of a server to say what it should get. */
export type Weighed = Pick<ServerView, "serverId" | "pool" | "weight" | "share" | "eligible">;

export const keyOf = (server: { pool: string; serverId: string }): string => `${server.pool}\n${server.serverId}`;

/** The share of its pool's traffic that a server's weight gives it, 0 to 1. */
export function expected(servers: Weighed[]): Map<string, number> {
    const weight = (server: Weighed) => (server.eligible ? (server.weight * server.share) / 1000 : 0);
    const sums = new Map<string, number>();
    for (const server of servers) sums.set(server.pool, (sums.get(server.pool) ?? 0) + weight(server));
    return new Map(
        servers.map((server) => {
            const sum = sums.get(server.pool) ?? 0;
            return [keyOf(server), sum > 0 ? weight(server) / sum : 0];
        }),
    );
}

export interface Reading {
    at: number;
    requests: Map<string, number>;
}

export interface Rate {
    /** Requests a second. */
    rate: number;
    /** Of its pool's, 0 to 1; none where the pool has no traffic. */
    share: number | null;
}

/** The time that shares are taken over, in milliseconds. */
export const WINDOW = 6000;

/** With one more reading, and without those that are too old. */
export function read(readings: Reading[], servers: ServerView[], at: number): Reading[] {
    if (readings.at(-1)?.at === at) return readings;
    const requests = new Map(servers.map((server) => [keyOf(server), server.requests]));
    const all = [...readings, { at, requests }];
    const old = all.findLastIndex((reading) => at - reading.at >= WINDOW);
    return old > 0 ? all.slice(old) : all;
}

/** What each server got between the first reading and the last one. */
export function rates(readings: Reading[], servers: ServerView[]): Map<string, Rate> {
    const [first, last] = [readings[0], readings.at(-1)];
    if (!first || !last || first === last) return new Map();
    const seconds = (last.at - first.at) / 1000;
    const counts = servers.map((server) => {
        const key = keyOf(server);
        const [before, now] = [first.requests.get(key), last.requests.get(key)];
        // Counters of a server that left and came back begin anew.
        const count = before === undefined || now === undefined || now < before ? 0 : now - before;
        return { key, pool: server.pool, count };
    });
    const sums = new Map<string, number>();
    for (const { pool, count } of counts) sums.set(pool, (sums.get(pool) ?? 0) + count);
    return new Map(
        counts.map(({ key, pool, count }) => {
            const sum = sums.get(pool) ?? 0;
            return [key, { rate: count / seconds, share: sum > 0 ? count / sum : null }];
        }),
    );
}
