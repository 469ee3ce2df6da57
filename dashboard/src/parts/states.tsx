// What stands where there is nothing to show: yet, any more, or for you.

import type { ComponentChildren, JSX } from "preact";
import { useState } from "preact/hooks";
import { caller, enter, link } from "../api.ts";
import type { Feed } from "../poll.ts";
import { useNow } from "../poll.ts";
import { span } from "../format.ts";
import { useSignal } from "../signal.ts";
import { Icon } from "./icon.tsx";

export function Loading({ lines = 3 }: { lines?: number }): JSX.Element {
    return (
        <div class="loading" role="status" aria-label="Loading">
            {Array.from({ length: lines }, (_, line) => (
                <span class="bone" key={line} />
            ))}
        </div>
    );
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }): JSX.Element {
    return (
        <div class="empty">
            <p class="empty-title">{title}</p>
            {children && <p class="muted">{children}</p>}
        </div>
    );
}

/** The content once it is there; until then what there is to say. */
export function Shown<T>({ feed, lines, children }: { feed: Feed<T>; lines?: number; children: (data: T) => ComponentChildren }): JSX.Element {
    if (feed.data !== undefined) return <>{children(feed.data)}</>;
    if (feed.refused) return <Empty title="This cannot be shown">{feed.refused.message}</Empty>;
    return <Loading {...(lines === undefined ? {} : { lines })} />;
}

/** The connection is gone: what is on the page is old. */
export function Lost(): JSX.Element | null {
    const state = useSignal(link);
    const now = useNow();
    if (state.is !== "lost") return null;
    return (
        <div class="banner banner-bad" role="alert">
            <Icon name="bad" />
            <span>
                <strong>No connection to LoadWeaver</strong> for {span((now - state.since) / 1000)}. What you see is from before; it is tried again by itself.
            </span>
        </div>
    );
}

export function Door({ wrong }: { wrong: boolean }): JSX.Element {
    const [token, setToken] = useState("");
    return (
        <main class="door">
            <form
                class="card door-card"
                onSubmit={(event) => {
                    event.preventDefault();
                    if (token.trim() !== "") enter(token.trim());
                }}
            >
                <h1>LoadWeaver</h1>
                <p class="muted">This node asks for a token of <code>admin.tokens</code>. It is kept in this tab and forgotten with it.</p>
                <label class="field">
                    <span>Token</span>
                    <input type="password" name="token" autocomplete="off" value={token} onInput={(event) => setToken(event.currentTarget.value)} aria-invalid={wrong} aria-describedby={wrong ? "door-wrong" : undefined} autofocus />
                </label>
                {wrong && (
                    <p class="wrong" id="door-wrong" role="alert">
                        <Icon name="bad" /> This token is not known to the node.
                    </p>
                )}
                <button class="primary" type="submit" disabled={token.trim() === ""}>
                    Show the dashboard
                </button>
            </form>
        </main>
    );
}

export function Denied({ why }: { why: string }): JSX.Element {
    return (
        <main class="door">
            <div class="card door-card" role="alert">
                <h1>Not from here</h1>
                <p>The node does not let this page ask.</p>
                <p class="muted">{why}</p>
            </div>
        </main>
    );
}

/** Why nothing can be changed; none where it can. */
export function useBar(): string | null {
    const who = useSignal(caller);
    const state = useSignal(link);
    if (state.is === "lost") return "there is no connection to the node";
    if (!who) return "it is not known yet what you may do";
    return who.role === "read" ? `the token "${who.token ?? ""}" may only look; changes take one with the role "write"` : null;
}
