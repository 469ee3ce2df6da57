import type { JSX } from "preact";

// Drawn here, so that nothing is loaded: strokes of 1.6 on 16 by 16.
const PATHS: Record<string, JSX.Element> = {
    up: <circle cx="8" cy="8" r="4" fill="currentColor" stroke="none" />,
    down: <path d="M4.5 4.5l7 7M11.5 4.5l-7 7" />,
    unstable: <path d="M8 3.2l5.2 9.3H2.8z M8 7v2.6M8 11.2v.1" />,
    unknown: <circle cx="8" cy="8" r="3.6" stroke-dasharray="2 1.7" />,
    drain: <path d="M8 3v7M5 7.5L8 10.5l3-3M4 13h8" />,
    maintenance: <path d="M5.5 4v8M10.5 4v8" />,
    overview: <path d="M2.5 12.5l3.5-5 3 3 4.5-7" />,
    servers: <path d="M3 3.5h10v3.4H3zM3 9.1h10v3.4H3zM5.2 5.2h.1M5.2 10.8h.1" />,
    distribution: <path d="M2.5 12.5c3 0 3-5 5.5-5s2.5-3.5 5.5-3.5M2.5 12.5h11" />,
    events: <path d="M3 4h10M3 8h10M3 12h6" />,
    webhooks: <path d="M3 8h8M8 4.5L11.5 8 8 11.5M13.5 3v10" />,
    config: <path d="M6 3.5C4 3.5 5 7 3 8c2 1 1 4.5 3 4.5M10 3.5c2 0 1 3.5 3 4.5-2 1-1 4.5-3 4.5" />,
    explain: <path d="M6 6a2 2 0 1 1 2.8 1.9c-.6.3-.8.7-.8 1.4M8 11.6v.1" />,
    good: <path d="M3.5 8.5l3 3 6-7" />,
    bad: <path d="M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zM8 5v3.5M8 10.8v.1" />,
    warn: <path d="M8 2.6l5.8 10.4H2.2z M8 6.6v3M8 11.3v.1" />,
    note: <path d="M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zM8 7.5v3.5M8 5.2v.1" />,
    close: <path d="M4 4l8 8M12 4l-8 8" />,
    search: <path d="M7 3a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM10 10l3.2 3.2" />,
    sun: <path d="M8 5.4a2.6 2.6 0 1 0 0 5.2 2.6 2.6 0 0 0 0-5.2zM8 1.8v1.4M8 12.8v1.4M1.8 8h1.4M12.8 8h1.4M3.6 3.6l1 1M11.4 11.4l1 1M12.4 3.6l-1 1M4.6 11.4l-1 1" />,
    moon: <path d="M13 9.6A5.4 5.4 0 1 1 6.4 3a4.3 4.3 0 0 0 6.6 6.6z" />,
    system: <path d="M2.5 3.5h11v7h-11zM6 13h4M8 10.5V13" />,
    ascending: <path d="M8 12V4M5 7l3-3 3 3" />,
    descending: <path d="M8 4v8M5 9l3 3 3-3" />,
};

export function Icon({ name, label }: { name: string; label?: string }): JSX.Element {
    return (
        <svg class={`icon icon-${name}`} viewBox="0 0 16 16" width="16" height="16" role={label ? "img" : undefined} aria-label={label} aria-hidden={label ? undefined : "true"}>
            {PATHS[name]}
        </svg>
    );
}
