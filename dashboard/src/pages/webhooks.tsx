// Messages about events: whether they arrive.

import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { send } from "../api.ts";
import { ago, clock, count, millis, several, spoken } from "../format.ts";
import { reason, say } from "../parts/dialog.tsx";
import { Icon } from "../parts/icon.tsx";
import { Rows, useNarrow } from "../parts/rows.tsx";
import { Empty, Shown, useBar } from "../parts/states.tsx";
import { refresh, useNow, usePoll } from "../poll.ts";
import type { Delivery, Webhook } from "../shapes.ts";

const STATES: Record<Webhook["state"], { kind: string; icon: string; word: string }> = {
    ok: { kind: "up", icon: "up", word: "Delivered" },
    retrying: { kind: "unstable", icon: "unstable", word: "Tried again" },
    failing: { kind: "down", icon: "down", word: "Failing" },
    open: { kind: "down", icon: "down", word: "No answer" },
};

async function post(path: string, done: string): Promise<void> {
    try {
        await send("POST", path);
        say(done);
    } catch (error) {
        say(reason(error), { bad: true });
    }
    refresh();
}

export function Webhooks(): JSX.Element {
    const feed = usePoll<Webhook[]>("api/webhooks", 1500);
    return (
        <Shown feed={feed} lines={6}>
            {(webhooks) =>
                webhooks.length === 0 ? (
                    <Empty title="There are no webhooks">
                        Write them into <code>webhooks</code> of config.json, and events are told to your own systems.
                    </Empty>
                ) : (
                    <>{webhooks.map((webhook) => <One key={webhook.name} webhook={webhook} />)}</>
                )
            }
        </Shown>
    );
}

function One({ webhook }: { webhook: Webhook }): JSX.Element {
    const bar = useBar();
    const now = useNow();
    const small = useNarrow();
    const [show, setShow] = useState("all");
    const { kind, icon, word } = STATES[webhook.state];
    const why = bar === null ? undefined : `Not possible: ${bar}`;
    const path = `api/webhooks/${encodeURIComponent(webhook.name)}`;
    const shown = useMemo(
        () => webhook.deliveries.filter((delivery) => show === "all" || delivery.state === show),
        [webhook.deliveries, show],
    );
    return (
        <section aria-label={`Webhook ${webhook.name}`} class="webhook">
            <div class="card webhook-head">
                <div class="pool-card-head">
                    <div>
                        <h2>{webhook.name}</h2>
                        <p class="muted">{webhook.target}, {webhook.format}, {webhook.signed ? "signed" : "not signed"}</p>
                    </div>
                    <span class={`state state-${kind}`}><Icon name={icon} />{word}</span>
                </div>
                <dl class="facts">
                    <div><dt>Delivered</dt><dd>{count(webhook.delivered)}</dd></div>
                    <div><dt>Given up</dt><dd>{count(webhook.failed)}</dd></div>
                    <div><dt>Waiting</dt><dd>{count(webhook.waiting)}</dd></div>
                    <div><dt>Lost</dt><dd>{count(webhook.dropped)}</dd></div>
                    {webhook.nextAttemptAt && <div><dt>Next attempt</dt><dd>{clock(webhook.nextAttemptAt, now)}</dd></div>}
                </dl>
                {webhook.lastError && webhook.state !== "ok" && <p class="wrong"><Icon name="bad" />{webhook.lastError}</p>}
                <div class="tools">
                    <button type="button" disabled={bar !== null} title={why} onClick={() => void post(`${path}/test`, `A test message to ${webhook.name} is on its way.`)}>Send a test</button>
                    <label class="pick">
                        <span class="sr">Deliveries</span>
                        <select value={show} onChange={(event) => setShow(event.currentTarget.value)}>
                            <option value="all">All deliveries</option>
                            <option value="delivered">Delivered</option>
                            <option value="failed">Given up</option>
                            <option value="pending">Under way</option>
                        </select>
                    </label>
                    <span class="muted">the last {several(webhook.deliveries.length, "delivery").replace("deliverys", "deliveries")}</span>
                </div>
                {why && <p class="muted reason"><Icon name="note" /> {why}.</p>}
            </div>
            {shown.length === 0 ? (
                <Empty title={webhook.deliveries.length === 0 ? "Nothing has been sent yet" : "No delivery is like that"} />
            ) : (
                <Rows items={shown} height={small ? 70 : 40} keyOf={(delivery) => delivery.id} label={`Deliveries of ${webhook.name}`} class="deliveries" most={420} head={<>{["Time", "Event", "State", "Answer", "Attempts", "Took", ""].map((name) => <span role="columnheader" key={name}>{name === "" ? <span class="sr">Again</span> : name}</span>)}</>}>
                    {(delivery) => <Sent delivery={delivery} now={now} bar={bar} again={() => void post(`${path}/deliveries/${encodeURIComponent(delivery.id)}/redeliver`, `${spoken(delivery.event)} is sent again to ${webhook.name}.`)} />}
                </Rows>
            )}
        </section>
    );
}

function Sent({ delivery, now, bar, again }: { delivery: Delivery; now: number; bar: string | null; again: () => void }): JSX.Element {
    const kind = delivery.state === "delivered" ? "good" : delivery.state === "failed" ? "bad" : "note";
    const word = { delivered: "Delivered", failed: "Given up", pending: "Under way" }[delivery.state];
    return (
        <>
            <time role="cell" class="muted" dateTime={delivery.createdAt} title={ago(delivery.createdAt, now)}>{clock(delivery.createdAt, now)}</time>
            <span role="cell" class="delivery-event">{spoken(delivery.event)}</span>
            <span role="cell" class={`event-name event-${kind}`}><Icon name={kind} />{word}</span>
            <span role="cell" class="muted delivery-answer" title={delivery.lastError ?? undefined}>{delivery.lastError ?? (delivery.status === null ? "" : String(delivery.status))}</span>
            <span role="cell" class="delivery-attempts">{several(delivery.attempts, "attempt")}</span>
            <span role="cell" class="delivery-took">{delivery.latencyMs === null ? "" : millis(delivery.latencyMs)}</span>
            <span role="cell" class="delivery-again">
                <button type="button" class="small" disabled={bar !== null || delivery.state === "pending"} title={bar ?? undefined} onClick={again} aria-label={`Send again: ${spoken(delivery.event)} of ${clock(delivery.createdAt, now)}`}>
                    Send again
                </button>
            </span>
        </>
    );
}
