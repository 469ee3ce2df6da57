// Asking before something is done, saying that it was, and taking it back.

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Refused, send } from "../api.ts";
import { refresh } from "../poll.ts";
import type { ChangeDone } from "../shapes.ts";
import { signal, useSignal } from "../signal.ts";
import { Icon } from "./icon.tsx";
import { Loading } from "./states.tsx";

/** A call of the API, and how it is said. */
export interface Deed {
    title: string;
    /** What it means, for whoever is about to do it. */
    means: ComponentChildren;
    method: string;
    path: string;
    body?: unknown;
    /** Sent with it, such as `If-Match`. */
    headers?: Record<string, string>;
    /** The word on the button. */
    word: string;
    /** Whether the API can be asked what would change. */
    tries: boolean;
    grave?: boolean;
    /** What is said when it is done. */
    done: string;
    undo?: Omit<Deed, "undo" | "means" | "tries">;
    after?: () => void;
}

export const asked = signal<Deed | null>(null);

interface Said {
    id: number;
    text: string;
    bad?: boolean;
    undo?: Deed["undo"];
}

const said = signal<Said[]>([]);
let last = 0;
/** How long a message stays, in milliseconds: long enough to take something back. */
const STAYS = 15_000;

export function say(text: string, more: Omit<Said, "id" | "text"> = {}): void {
    const id = ++last;
    said.set([...said.get().slice(-2), { id, text, ...more }]);
    leave(id);
}

/** Whoever is at a message has it for as long as they like. */
const leaving = new Map<number, ReturnType<typeof setTimeout>>();

function stay(id: number): void {
    clearTimeout(leaving.get(id));
    leaving.delete(id);
}

function leave(id: number): void {
    stay(id);
    leaving.set(id, setTimeout(() => hush(id), STAYS));
}

function hush(id: number): void {
    stay(id);
    said.set(said.get().filter((one) => one.id !== id));
}

export function reason(error: unknown): string {
    if (error instanceof Refused) {
        const [first] = error.issues;
        return first && first.help !== "" && !error.message.includes(first.help) ? `${error.message}: ${first.help}` : error.message;
    }
    return "the node did not answer";
}

async function perform(deed: Omit<Deed, "means" | "tries">): Promise<void> {
    await send(deed.method, deed.path, deed.body, deed.headers);
    say(deed.done, deed.undo ? { undo: deed.undo } : {});
    deed.after?.();
    refresh();
}

function trial(path: string): string {
    return `${path}${path.includes("?") ? "&" : "?"}dryRun=true`;
}

export function Asking(): JSX.Element | null {
    const deed = useSignal(asked);
    return deed ? <Question key={`${deed.method} ${deed.path} ${deed.title}`} deed={deed} /> : null;
}

type Trial = { is: "trying" } | { is: "tried"; change: ChangeDone } | { is: "refused"; why: Refused | string } | { is: "untried" };

function Question({ deed }: { deed: Deed }): JSX.Element {
    const box = useRef<HTMLDialogElement>(null);
    const [tried, setTried] = useState<Trial>(deed.tries ? { is: "trying" } : { is: "untried" });
    const [busy, setBusy] = useState(false);
    const close = () => asked.set(null);
    useEffect(() => {
        const before = document.activeElement;
        box.current?.showModal();
        if (deed.tries) {
            send<ChangeDone>(deed.method, trial(deed.path), deed.body, deed.headers)
                .then((change) => setTried({ is: "tried", change }))
                .catch((error: unknown) => setTried({ is: "refused", why: error instanceof Refused ? error : reason(error) }));
        }
        return () => {
            if (before instanceof HTMLElement) before.focus();
        };
    }, []);
    const go = async () => {
        setBusy(true);
        try {
            await perform(deed);
            close();
        } catch (error) {
            setTried({ is: "refused", why: error instanceof Refused ? error : reason(error) });
            setBusy(false);
        }
    };
    const nothing = tried.is === "tried" && tried.change.changes.length === 0;
    return (
        <dialog ref={box} class="question" aria-labelledby="question-title" onClose={close} onCancel={close}>
            <h2 id="question-title">{deed.title}</h2>
            <div class="question-body">
                <p>{deed.means}</p>
                <Tried tried={tried} />
            </div>
            <div class="buttons">
                <button type="button" onClick={close}>
                    Cancel
                </button>
                <button type="button" class={deed.grave ? "primary grave" : "primary"} disabled={busy || tried.is === "trying" || tried.is === "refused" || nothing} onClick={() => void go()}>
                    {deed.word}
                </button>
            </div>
        </dialog>
    );
}

function Tried({ tried }: { tried: Trial }): JSX.Element | null {
    switch (tried.is) {
        case "untried":
            return null;
        case "trying":
            return <Loading lines={2} />;
        case "refused":
            return (
                <div class="refused" role="alert">
                    <p>
                        <Icon name="bad" /> It would be refused: {tried.why instanceof Refused ? tried.why.message : tried.why}
                    </p>
                    {tried.why instanceof Refused && tried.why.issues.length > 0 && <Issues issues={tried.why.issues} />}
                </div>
            );
        case "tried":
            return <Change change={tried.change} />;
    }
}

export function Issues({ issues }: { issues: { at: string; problem: string; help: string }[] }): JSX.Element {
    return (
        <ul class="issues">
            {issues.map((issue, place) => (
                <li key={place}>
                    {issue.at !== "" && <code>{issue.at}</code>} <span>{issue.problem}</span>
                    {issue.help !== "" && <span class="muted"> {issue.help}</span>}
                </li>
            ))}
        </ul>
    );
}

/** What a change does, as the node tells it. */
export function Change({ change }: { change: ChangeDone }): JSX.Element {
    if (change.changes.length === 0) return <p class="muted">Nothing would change: it is so already.</p>;
    return (
        <div class="change">
            <h3>What changes</h3>
            <ul>
                {change.changes.map((line) => (
                    <li key={line}>{line}</li>
                ))}
            </ul>
            {change.touched.length > 0 && (
                <>
                    <h3>What is touched</h3>
                    <ul>
                        {change.touched.map((line) => (
                            <li key={line}>{line}</li>
                        ))}
                    </ul>
                </>
            )}
            {change.warnings.length > 0 && (
                <>
                    <h3>Probably not meant</h3>
                    <Issues issues={change.warnings} />
                </>
            )}
            {change.needsRestart.length > 0 && <p class="muted">Taken up by a new start only: {change.needsRestart.join(", ")}</p>}
        </div>
    );
}

export function Saying(): JSX.Element {
    const all = useSignal(said);
    return (
        <div class="said" aria-live="polite">
            {all.map((one) => (
                <div
                    key={one.id}
                    class={one.bad ? "message message-bad" : "message"}
                    onMouseEnter={() => stay(one.id)}
                    onMouseLeave={() => leave(one.id)}
                    onFocusIn={() => stay(one.id)}
                    onFocusOut={() => leave(one.id)}
                >
                    <Icon name={one.bad ? "bad" : "good"} />
                    <span>{one.text}</span>
                    {one.undo && (
                        <button
                            type="button"
                            class="link"
                            onClick={() => {
                                hush(one.id);
                                perform(one.undo!).catch((error: unknown) => say(`It could not be undone: ${reason(error)}`, { bad: true }));
                            }}
                        >
                            Undo
                        </button>
                    )}
                    <button type="button" class="quiet" aria-label="Dismiss" onClick={() => hush(one.id)}>
                        <Icon name="close" />
                    </button>
                </div>
            ))}
        </div>
    );
}
