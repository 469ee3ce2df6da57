// Asks again and again, while somebody looks.

import { useEffect, useState } from "preact/hooks";
import { caller, get, link, Refused } from "./api.ts";
import { signal, useSignal, type Signal } from "./signal.ts";

export interface Feed<T> {
    data?: T;
    /** Why there is nothing newer. */
    refused?: Refused;
    /** When `data` came, by the clock of this page. */
    at: number;
}

interface Poll {
    feed: Signal<Feed<unknown>>;
    watchers: number;
    every: number;
    timer: ReturnType<typeof setTimeout> | undefined;
    asking: boolean;
    again: boolean;
}

const polls = new Map<string, Poll>();
/** Answers of pages that nobody looks at; a return shows them until there are newer ones. */
const KEPT = 24;

async function ask(path: string, poll: Poll): Promise<void> {
    if (poll.asking) {
        poll.again = true;
        return;
    }
    clearTimeout(poll.timer);
    poll.asking = true;
    try {
        if (!document.hidden && link.get().is !== "token") {
            poll.feed.set({ data: await get<unknown>(path), at: Date.now() });
        }
    } catch (error) {
        if (error instanceof Refused) poll.feed.set({ ...poll.feed.get(), refused: error });
    } finally {
        poll.asking = false;
    }
    if (poll.watchers > 0) {
        const pause = poll.again ? 0 : poll.every;
        poll.again = false;
        poll.timer = setTimeout(() => void ask(path, poll), pause);
    }
}

function poll(path: string): Poll {
    let known = polls.get(path);
    if (!known) {
        known = { feed: signal<Feed<unknown>>({ at: 0 }), watchers: 0, every: 2000, timer: undefined, asking: false, again: false };
        polls.set(path, known);
        for (const [other, { watchers }] of polls) {
            if (polls.size > KEPT && watchers === 0 && other !== path) polls.delete(other);
        }
    }
    return known;
}

/** What the path answers, no older than `every` milliseconds; null asks for nothing. */
export function usePoll<T>(path: string | null, every: number): Feed<T> {
    const one = path === null ? null : poll(path);
    const [feed, setFeed] = useState<Feed<unknown>>(() => one?.feed.get() ?? { at: 0 });
    useEffect(() => {
        if (one === null || path === null) {
            setFeed({ at: 0 });
            return;
        }
        setFeed(one.feed.get());
        const deaf = one.feed.follow((next) => setFeed(() => next));
        one.watchers += 1;
        one.every = every;
        void ask(path, one);
        return () => {
            deaf();
            one.watchers -= 1;
            if (one.watchers === 0) clearTimeout(one.timer);
        };
    }, [path, every]);
    return feed as Feed<T>;
}

/** Asks at once for whatever somebody looks at: something has changed. */
export function refresh(): void {
    for (const [path, one] of polls) if (one.watchers > 0) void ask(path, one);
}

document.addEventListener("visibilitychange", () => {
    if (!document.hidden) refresh();
});
caller.follow((who) => {
    if (who) refresh();
});

/** A clock for "3 s ago", a tick a second. */
const clock = signal(Date.now());
setInterval(() => {
    if (!document.hidden) clock.set(Date.now());
}, 1000);

export function useNow(): number {
    return useSignal(clock);
}
