// What can be done to servers and pools, how it is said, and how it is taken back.

import { asked, type Deed } from "./parts/dialog.tsx";
import type { PoolView, ServerView, Wanted } from "./shapes.ts";
import { spoken } from "./format.ts";

function path(server: ServerView, what: string): string {
    return `api/servers/${encodeURIComponent(server.serverId)}/${what}?pool=${encodeURIComponent(server.pool)}`;
}

const STATES: Record<Wanted, { title: string; means: string; word: string; done: string }> = {
    active: { title: "Activate", means: "It may have new requests again, as far as its health allows.", word: "Activate", done: "is active" },
    drain: { title: "Drain", means: "It gets no new requests; those under way go on to their end.", word: "Drain", done: "is drained" },
    maintenance: { title: "Put into maintenance", means: "It gets no new requests, and everybody sees that somebody works on it.", word: "Put into maintenance", done: "is in maintenance" },
};

export function setState(server: ServerView, state: Wanted): void {
    const { title, means, word, done } = STATES[state];
    const change = (state: Wanted): Pick<Deed, "method" | "path" | "body"> => ({ method: "PUT", path: path(server, "state"), body: { state } });
    asked.set({
        ...change(state),
        title: `${title}: ${server.serverId}`,
        means,
        word,
        tries: true,
        grave: state !== "active",
        done: `${server.serverId} ${done}.`,
        undo: { ...change(server.state), title: "", word: "", done: `${server.serverId} ${STATES[server.state].done} again.` },
    });
}

export function setWeight(server: ServerView, weight: number): void {
    const change = (weight: number): Pick<Deed, "method" | "path" | "body"> => ({ method: "PUT", path: path(server, "weight"), body: { weight } });
    asked.set({
        ...change(weight),
        title: `Weight of ${server.serverId}: ${server.weight} to ${weight}`,
        means: weight === 0 ? "With a weight of 0 it gets no new requests." : "Its share of its pool's requests follows at once.",
        word: "Set the weight",
        tries: true,
        grave: weight === 0,
        done: `${server.serverId} has the weight ${weight}.`,
        undo: { ...change(server.weight), title: "", word: "", done: `${server.serverId} has the weight ${server.weight} again.` },
    });
}

export function setAlgorithm(pool: PoolView, algorithm: string): void {
    const change = (algorithm: string): Pick<Deed, "method" | "path" | "body"> => ({ method: "PUT", path: "api/algorithm", body: { algorithm, pool: pool.name } });
    asked.set({
        ...change(algorithm),
        title: `Algorithm of pool ${pool.name}: ${spoken(algorithm)}`,
        means: `New requests are spread by ${algorithm} instead of ${pool.algorithm} at once; none is lost.`,
        word: "Set the algorithm",
        tries: true,
        done: `Pool ${pool.name} uses ${algorithm}.`,
        undo: { ...change(pool.algorithm), title: "", word: "", done: `Pool ${pool.name} uses ${pool.algorithm} again.` },
    });
}

export function recover(server: ServerView): void {
    asked.set({
        method: "POST",
        path: path(server, "recover"),
        title: `Recover ${server.serverId} now`,
        means: "Its recovery (a program, an endpoint, or a new start of its process) is carried out now, whatever its health. It cannot be taken back.",
        word: "Recover now",
        tries: false,
        grave: true,
        done: `Recovery of ${server.serverId} has begun.`,
    });
}
