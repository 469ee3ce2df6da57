// The configuration: what it is, what it was, and what it could be.

import type { JSX } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { getTagged, Refused, send } from "../api.ts";
import { ago, clock, span } from "../format.ts";
import { compared, type Piece } from "../diff.ts";
import { asked, Change, Issues, reason, say } from "../parts/dialog.tsx";
import { Icon } from "../parts/icon.tsx";
import { Empty, Loading, Shown, useBar } from "../parts/states.tsx";
import { refresh, useNow, usePoll } from "../poll.ts";
import type { ChangeDone, Versions } from "../shapes.ts";

export function Config(): JSX.Element {
    const versions = usePoll<Versions>("api/config/versions", 2000);
    return (
        <Shown feed={versions} lines={8}>
            {(data) => (
                <>
                    <Standing data={data} />
                    <div class="halves">
                        <History data={data} />
                        <Editor current={data.current} />
                    </div>
                </>
            )}
        </Shown>
    );
}

function Standing({ data }: { data: Versions }): JSX.Element {
    const now = useNow();
    const bar = useBar();
    return (
        <>
            {data.confirmUntil && (
                <div class="banner banner-warn" role="alert">
                    <Icon name="warn" />
                    <span>Version {data.current} is undone in {span((Date.parse(data.confirmUntil) - now) / 1000)}, unless it is confirmed.</span>
                    <span class="buttons">
                        <button type="button" disabled={bar !== null} title={bar ?? undefined} onClick={() => {
                            send("POST", "api/config/confirm")
                                .then(() => say(`Version ${data.current} stays.`))
                                .catch((error: unknown) => say(reason(error), { bad: true }))
                                .finally(refresh);
                        }}>
                            Confirm
                        </button>
                    </span>
                </div>
            )}
            {data.unsaved && (
                <div class="banner banner-warn">
                    <Icon name="warn" />
                    <span>What is in force is not in the file: {data.unsaved}. The next start takes up what the file says.</span>
                </div>
            )}
            {data.refused && (
                <section class="card refused-last" aria-labelledby="refused">
                    <h2 id="refused"><Icon name="bad" /> The last change was refused</h2>
                    <p class="muted">It came from {data.refused.origin}, {ago(data.refused.at, now)}. What was in force before still is.</p>
                    {data.refused.issues.length > 0 ? <Issues issues={data.refused.issues} /> : <p>{data.refused.reason}</p>}
                </section>
            )}
        </>
    );
}

function History({ data }: { data: Versions }): JSX.Element {
    const now = useNow();
    const bar = useBar();
    return (
        <section aria-labelledby="versions">
            <div class="section-head"><h2 id="versions">Versions</h2></div>
            <ol class="card versions">
                {data.versions.map((version) => (
                    <li key={version.version} class="version">
                        <div class="version-head">
                            <b>{version.version}</b>
                            <span class="muted">{version.origin}, <time dateTime={version.at}>{clock(version.at, now)}</time></span>
                            {version.version === data.current ? (
                                <span class="tag">in force</span>
                            ) : (
                                <button type="button" class="small" disabled={bar !== null} title={bar ?? undefined} aria-label={`Go back to version ${version.version}`} onClick={() => back(version.version)}>
                                    Go back
                                </button>
                            )}
                        </div>
                        <ul class="changes">
                            {version.changes.length === 0 ? <li class="muted">{version.origin === "start" ? "as it was at the start" : "no change"}</li> : version.changes.map((line) => <li key={line}>{line}</li>)}
                        </ul>
                    </li>
                ))}
            </ol>
        </section>
    );
}

function back(version: number): void {
    asked.set({
        method: "POST",
        path: "api/config/rollback",
        body: { version },
        title: `Go back to version ${version}`,
        means: "Its text becomes a new version. What differs from what is in force:",
        word: "Go back",
        tries: true,
        grave: true,
        done: `Version ${version} is in force again, under a new number.`,
    });
}

type Tried = { is: "not" } | { is: "trying" } | { is: "good"; change: ChangeDone } | { is: "bad"; why: Refused | string };

/** Lines that are shown of a comparison. */
const SHOWN = 400;

function Editor({ current }: { current: number }): JSX.Element {
    const bar = useBar();
    const [before, setBefore] = useState<{ text: string; tag: string } | null>(null);
    const [text, setText] = useState("");
    const [tried, setTried] = useState<Tried>({ is: "not" });
    const [failed, setFailed] = useState("");
    const changed = before !== null && text !== before.text;
    const read = () => {
        getTagged<unknown>("api/config")
            .then(({ data, tag }) => {
                const text = JSON.stringify(data, null, 2);
                setBefore({ text, tag });
                setText(text);
                setTried({ is: "not" });
                setFailed("");
            })
            .catch((error: unknown) => setFailed(reason(error)));
    };
    useEffect(() => {
        // Somebody's edit is not thrown away because another one was quicker: it is refused as stale, in words.
        if (!changed) read();
    }, [current]);
    const pieces = useMemo(() => (before && changed ? compared(before.text, text) : []), [before, text]);
    const wrong = useMemo(() => {
        try {
            JSON.parse(text);
            return null;
        } catch (error) {
            return error instanceof Error ? error.message : "not JSON";
        }
    }, [text]);
    const call = (path: string) => send<ChangeDone>("PUT", path, text, { "If-Match": before?.tag ?? "" });
    const attempt = async () => {
        setTried({ is: "trying" });
        try {
            setTried({ is: "good", change: await call("api/config?dryRun=true") });
        } catch (error) {
            setTried({ is: "bad", why: error instanceof Refused ? error : reason(error) });
        }
    };
    const apply = async () => {
        try {
            const { version } = await call("api/config");
            say(`Version ${version} is in force.`);
            setBefore(null);
            read();
        } catch (error) {
            setTried({ is: "bad", why: error instanceof Refused ? error : reason(error) });
        }
        refresh();
    };
    if (!before) return <section>{failed ? <Empty title="The configuration cannot be shown">{failed}</Empty> : <Loading lines={10} />}</section>;
    return (
        <section aria-labelledby="text">
            <div class="section-head">
                <h2 id="text">config.json</h2>
                <span class="muted">secrets are shown as ***, and stay what they are</span>
            </div>
            <textarea class="card code" aria-label="The configuration" spellcheck={false} rows={22} readOnly={bar !== null} value={text} aria-invalid={wrong !== null} onInput={(event) => { setText(event.currentTarget.value); setTried({ is: "not" }); }} />
            {wrong && <p class="wrong" role="status"><Icon name="bad" /> {wrong}</p>}
            <div class="buttons">
                <button type="button" disabled={!changed} onClick={() => { setText(before.text); setTried({ is: "not" }); }}>Reset</button>
                <button type="button" disabled={!changed || wrong !== null || bar !== null} title={bar ?? undefined} onClick={() => void attempt()}>Try</button>
                <button type="button" class="primary" disabled={tried.is !== "good" || tried.change.changes.length === 0 || bar !== null} title={bar ?? (tried.is === "good" ? undefined : "Try it first")} onClick={() => void apply()}>Apply</button>
            </div>
            {bar && <p class="muted reason"><Icon name="note" /> Not possible: {bar}.</p>}
            <div aria-live="polite">
                {tried.is === "trying" && <Loading lines={2} />}
                {tried.is === "good" && <Change change={tried.change} />}
                {tried.is === "bad" && (
                    <div class="refused">
                        <p><Icon name="bad" /> It would be refused: {tried.why instanceof Refused ? tried.why.message : tried.why}</p>
                        {tried.why instanceof Refused && <Issues issues={tried.why.issues} />}
                    </div>
                )}
            </div>
            {pieces.length > 0 && <Differences pieces={pieces} />}
        </section>
    );
}

function Differences({ pieces }: { pieces: Piece[] }): JSX.Element {
    return (
        <div class="card differences" role="group" aria-label="What you have changed">
            <h3>What you have changed</h3>
            <pre class="code" tabIndex={0}>
                {pieces.slice(0, SHOWN).map((piece, place) => (
                    <span key={place} class={`line line-${piece.kind}`}>
                        {{ gone: "- ", new: "+ ", same: "  ", gap: "… " }[piece.kind]}
                        {piece.text}
                        {"\n"}
                    </span>
                ))}
                {pieces.length > SHOWN && `… and ${pieces.length - SHOWN} lines more\n`}
            </pre>
        </div>
    );
}
