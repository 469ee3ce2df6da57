// What happened, and what happens.

import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { link, stream } from "../api.ts";
import { clock, several, spoken } from "../format.ts";
import { Icon } from "../parts/icon.tsx";
import { Rows, useNarrow } from "../parts/rows.tsx";
import { Empty, Shown } from "../parts/states.tsx";
import { useNow, usePoll } from "../poll.ts";
import { narrow, route, to } from "../route.ts";
import type { EventView } from "../shapes.ts";
import { useSignal } from "../signal.ts";

/** Events that are kept here; the node keeps ten thousand. */
const KEPT = 2000;
/** From the end of a stream to the next try, in milliseconds. */
const PAUSE = 2000;

const BAD = ["server_down", "pool_down", "recovery_failed", "config_refused", "webhook_failing", "task_died"];
const WARN = ["server_unstable", "panic_started", "recovery_held"];
const GOOD = ["server_up", "pool_up", "recovery_succeeded", "webhook_recovered", "panic_ended"];

const kindOf = (event: string): string =>
    BAD.includes(event) ? "bad" : WARN.includes(event) ? "warn" : GOOD.includes(event) ? "good" : "note";

/** Those of the past, and from then on those that come. */
function useEvents(): { events: EventView[] | undefined; live: boolean; feed: ReturnType<typeof usePoll<EventView[]>> } {
    // The stream brings what is new; this is asked for once, and again after a long while without a stream.
    const feed = usePoll<EventView[]>("api/events?limit=1000", 60_000);
    const [more, setMore] = useState<EventView[]>([]);
    const [live, setLive] = useState(false);
    const first = feed.data?.[0]?.id ?? 0;
    const known = useRef(0);
    const begun = feed.data !== undefined;
    useEffect(() => {
        if (!begun) return;
        known.current = Math.max(known.current, first);
        const ends = new AbortController();
        let timer: ReturnType<typeof setTimeout>;
        const listen = async () => {
            try {
                const opened = stream("api/events", String(known.current), ends.signal);
                setLive(true);
                for await (const { data } of opened) {
                    const event = JSON.parse(data) as EventView;
                    if (typeof event.id !== "number") continue;
                    known.current = event.id;
                    setMore((before) => [event, ...before].slice(0, KEPT));
                }
            } catch {
                // Tried again below.
            }
            if (ends.signal.aborted) return;
            setLive(false);
            timer = setTimeout(() => void listen(), PAUSE);
        };
        void listen();
        return () => {
            clearTimeout(timer);
            ends.abort();
        };
    }, [begun]);
    const events = useMemo(() => {
        if (!feed.data) return undefined;
        const seen = new Set<number>();
        return [...more, ...feed.data].filter(({ id }) => !seen.has(id) && seen.add(id)).sort((one, other) => other.id - one.id).slice(0, KEPT);
    }, [feed.data, more]);
    return { events, live, feed };
}

function about(event: EventView): string {
    return [event.pool && !event.server ? `pool ${event.pool}` : "", event.server ? `${event.server.id}${event.pool ? ` (${event.pool})` : ""}` : ""].filter((word) => word !== "").join(" ");
}

/** What a row says besides its name: the reason, or what the details have to say. */
function told(event: EventView): string {
    if (event.reason) return event.reason;
    const details = event.details ?? {};
    const changes = details.changes;
    if (Array.isArray(changes)) return changes.join("; ");
    return Object.entries(details)
        .filter(([, value]) => typeof value === "string" || typeof value === "number" || typeof value === "boolean")
        .map(([name, value]) => `${name}: ${String(value)}`)
        .join(", ");
}

export function Events(): JSX.Element {
    const { query } = useSignal(route);
    const { events, live, feed } = useEvents();
    const [text, setText] = useState("");
    const [held, setHeld] = useState<EventView[] | null>(null);
    const state = useSignal(link);
    const now = useNow();
    const small = useNarrow();
    const wanted = query.get("event") ?? "";
    const all = held ?? events ?? [];
    const names = useMemo(() => [...new Set(all.map((event) => event.event))].sort(), [all]);
    const shown = useMemo(() => {
        const words = text.toLowerCase().split(/\s+/).filter((word) => word !== "");
        return all.filter((event) => {
            if (wanted !== "" && event.event !== wanted) return false;
            const line = `${event.event} ${spoken(event.event)} ${about(event)} ${event.server?.address ?? ""} ${told(event)} ${event.node ?? ""}`.toLowerCase();
            return words.every((word) => line.includes(word));
        });
    }, [all, text, wanted]);
    const chosen = all.find((event) => String(event.id) === query.get("id"));
    const waiting = held && events ? events.filter((event) => event.id > (held[0]?.id ?? 0)).length : 0;
    return (
        <section aria-label="Events">
            <div class="tools">
                <label class="search">
                    <Icon name="search" />
                    <input type="search" placeholder="Search by name, server, pool, reason" aria-label="Search events" value={text} onInput={(event) => setText(event.currentTarget.value)} />
                </label>
                <label class="pick">
                    <span class="sr">Kind</span>
                    <select value={wanted} onChange={(event) => narrow({ event: event.currentTarget.value || null })}>
                        <option value="">All kinds</option>
                        {[...new Set([...names, ...(wanted ? [wanted] : [])])].map((name) => (
                            <option key={name} value={name}>{spoken(name)}</option>
                        ))}
                    </select>
                </label>
                <button type="button" aria-pressed={held !== null} onClick={() => setHeld(held ? null : all)}>
                    {held ? `Go on${waiting > 0 ? ` (${waiting} new)` : ""}` : "Hold"}
                </button>
                <span class={`live ${live && state.is === "good" && !held ? "live-on" : ""}`} role="status">
                    <Icon name={live && !held ? "up" : "maintenance"} />
                    {held ? "Held" : live ? "Live" : "Not live"}
                </span>
                <span class="muted">{several(shown.length, "event")}</span>
            </div>
            <Shown feed={feed} lines={8}>
                {() =>
                    all.length === 0 ? (
                        <Empty title="Nothing has happened yet">Servers that come and go, changes and recoveries are told here as they happen.</Empty>
                    ) : shown.length === 0 ? (
                        <Empty title="No event is like that">
                            <button type="button" class="link" onClick={() => { setText(""); narrow({ event: null }); }}>Show all</button>
                        </Empty>
                    ) : (
                        <Rows items={shown} height={small ? 60 : 38} keyOf={(event) => String(event.id)} label="Events, the newest first" class="events" head={<>{["Time", "Event", "About", "What"].map((name) => <span role="columnheader" key={name}>{name}</span>)}</>}>
                            {(event) => (
                                <>
                                    <time role="cell" class="muted" dateTime={event.timestamp}>{clock(event.timestamp, now)}</time>
                                    <span role="cell" class={`event-name event-${kindOf(event.event)}`}>
                                        <Icon name={kindOf(event.event)} />
                                        <button type="button" class="event-open" onClick={() => narrow({ id: String(event.id) })}>{spoken(event.event)}</button>
                                    </span>
                                    <span role="cell" class="event-about">{about(event) || (small ? told(event) : "")}</span>
                                    <span role="cell" class="muted event-told" title={told(event)}>{told(event)}</span>
                                </>
                            )}
                        </Rows>
                    )
                }
            </Shown>
            {chosen && <OneEvent event={chosen} close={() => narrow({ id: null })} />}
        </section>
    );
}

function OneEvent({ event, close }: { event: EventView; close: () => void }): JSX.Element {
    const box = useRef<HTMLElement>(null);
    useEffect(() => {
        const before = document.activeElement;
        box.current?.focus();
        const heard = (key: KeyboardEvent) => {
            if (key.key === "Escape") close();
        };
        addEventListener("keydown", heard);
        return () => {
            removeEventListener("keydown", heard);
            if (before instanceof HTMLElement && before.isConnected) before.focus();
        };
    }, []);
    return (
        <aside class="detail" ref={box} tabIndex={-1} aria-label={`Event ${event.id}`}>
            <div class="detail-head">
                <div>
                    <h2>{spoken(event.event)}</h2>
                    <p class="muted">{new Date(event.timestamp).toLocaleString()}, number {event.id}</p>
                </div>
                <button type="button" class="quiet" aria-label="Close" onClick={close}><Icon name="close" /></button>
            </div>
            {event.reason && <p>{event.reason}</p>}
            {event.server && <p><a href={to("servers", { pool: event.pool, server: event.server.id })}>Server {event.server.id}</a></p>}
            <h3>As it is told to others</h3>
            <pre class="code" tabIndex={0}>{JSON.stringify(event, null, 2)}</pre>
        </aside>
    );
}

