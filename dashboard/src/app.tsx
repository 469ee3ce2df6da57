// The frame around the pages.

import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { caller, leave, link, whoami } from "./api.ts";
import { span, spoken } from "./format.ts";
import { Config } from "./pages/config.tsx";
import { Distribution } from "./pages/distribution.tsx";
import { Events } from "./pages/events.tsx";
import { Explain } from "./pages/explain.tsx";
import { Overview } from "./pages/overview.tsx";
import { Servers } from "./pages/servers.tsx";
import { Webhooks } from "./pages/webhooks.tsx";
import { Asking, Saying } from "./parts/dialog.tsx";
import { Icon } from "./parts/icon.tsx";
import { Denied, Door, Empty, Lost } from "./parts/states.tsx";
import { usePoll } from "./poll.ts";
import { route } from "./route.ts";
import type { HealthView } from "./shapes.ts";
import { useSignal } from "./signal.ts";
import { choose, theme, type Theme } from "./theme.ts";

const PAGES: { page: string; name: string; icon: string; shows: () => JSX.Element }[] = [
    { page: "", name: "Overview", icon: "overview", shows: Overview },
    { page: "servers", name: "Servers", icon: "servers", shows: Servers },
    { page: "distribution", name: "Distribution", icon: "distribution", shows: Distribution },
    { page: "events", name: "Events", icon: "events", shows: Events },
    { page: "webhooks", name: "Webhooks", icon: "webhooks", shows: Webhooks },
    { page: "config", name: "Config", icon: "config", shows: Config },
    { page: "explain", name: "Explain", icon: "explain", shows: Explain },
];

export function App(): JSX.Element {
    const state = useSignal(link);
    const { page } = useSignal(route);
    const who = useSignal(caller);
    const heading = useRef<HTMLHeadingElement>(null);
    const shown = PAGES.find((one) => one.page === page);
    useEffect(() => {
        document.title = shown ? `${shown.name} · LoadWeaver` : "LoadWeaver";
    }, [page]);
    useEffect(() => {
        // A node that was away when the page was loaded is asked who we are once it is back.
        if (state.is === "good" && !who) void whoami();
    }, [state.is]);
    if (state.is === "token") return <Door wrong={state.wrong} />;
    if (state.is === "denied") return <Denied why={state.why} />;
    return (
        <div class={state.is === "lost" ? "frame frame-lost" : "frame"}>
            <a class="skip" href="#content" onClick={(event) => { event.preventDefault(); heading.current?.focus(); }}>
                To the content
            </a>
            <Side page={page} />
            <main class="content" id="content">
                <Lost />
                <h1 ref={heading} tabIndex={-1}>{shown?.name ?? "Not here"}</h1>
                {shown ? <shown.shows /> : <Empty title="There is no such page">See the list beside it.</Empty>}
            </main>
            <Asking />
            <Saying />
        </div>
    );
}

function Side({ page }: { page: string }): JSX.Element {
    const who = useSignal(caller);
    const list = useRef<HTMLUListElement>(null);
    useEffect(() => {
        // On a phone the pages are a row that is wider than the screen.
        const here = list.current?.querySelector<HTMLElement>("[aria-current]");
        const row = list.current?.parentElement;
        if (here && row) row.scrollLeft = here.offsetLeft - (row.clientWidth - here.offsetWidth) / 2;
    }, [page]);
    return (
        <header class="side">
            <a class="brand" href="#/">
                <svg viewBox="0 0 32 32" width="24" height="24" aria-hidden="true">
                    <rect width="32" height="32" rx="7" class="brand-ground" />
                    <g class="brand-lines">
                        <path d="M6 16h5c4 0 4-7 9-7h6" />
                        <path d="M11 16h15" />
                        <path d="M11 16c4 0 4 7 9 7h6" />
                    </g>
                </svg>
                <span>LoadWeaver</span>
            </a>
            <nav aria-label="Pages">
                <ul ref={list}>
                    {PAGES.map((one) => (
                        <li key={one.page}>
                            <a href={`#/${one.page}`} aria-current={one.page === page ? "page" : undefined}>
                                <Icon name={one.icon} />
                                <span>{one.name}</span>
                            </a>
                        </li>
                    ))}
                </ul>
            </nav>
            <div class="side-end">
                <Node />
                <Themes />
                {who?.token && (
                    <p class="who">
                        <span class="muted">
                            {who.token} · {who.role}
                        </span>
                        <button type="button" class="link" onClick={leave}>
                            Leave
                        </button>
                    </p>
                )}
            </div>
        </header>
    );
}

function Node(): JSX.Element | null {
    const { data } = usePoll<HealthView>("api/health", 5000);
    if (!data) return null;
    const kind = data.state === "ready" ? "up" : "unstable";
    return (
        <p class="node">
            <span class={`state state-${kind}`}>
                <Icon name={kind} />
                {spoken(data.state)}
            </span>
            <span class="muted">up {span(data.uptime)}</span>
            <span class="muted">v{data.version}</span>
        </p>
    );
}

const THEMES: { theme: Theme; name: string; icon: string }[] = [
    { theme: "system", name: "As the system", icon: "system" },
    { theme: "light", name: "Light", icon: "sun" },
    { theme: "dark", name: "Dark", icon: "moon" },
];

function Themes(): JSX.Element {
    const chosen = useSignal(theme);
    return (
        <div class="themes" role="radiogroup" aria-label="Colours">
            {THEMES.map((one) => (
                <label key={one.theme} title={one.name}>
                    <input type="radio" name="theme" value={one.theme} checked={chosen === one.theme} onChange={() => choose(one.theme)} aria-label={one.name} />
                    <Icon name={one.icon} />
                </label>
            ))}
        </div>
    );
}
