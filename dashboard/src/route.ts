// Which page is shown: the part of the address behind `#`.

import { signal } from "./signal.ts";

export interface Route {
    page: string;
    query: URLSearchParams;
}

function read(): Route {
    const [page = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?");
    return { page, query: new URLSearchParams(query) };
}

export const route = signal<Route>(read());
addEventListener("hashchange", () => route.set(read()));

/** Where a page is with these terms; empty ones are left out. */
export function to(page: string, terms: Record<string, string | null | undefined> = {}): string {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(terms)) if (value) query.set(name, value);
    const text = query.toString();
    return `#/${page}${text === "" ? "" : `?${text}`}`;
}

/** Changes terms of this page without a step back to it. */
export function narrow(terms: Record<string, string | null>): void {
    const { page, query } = route.get();
    const all = Object.fromEntries(query);
    const next = to(page, { ...all, ...terms });
    if (next === location.hash) return;
    history.replaceState(null, "", next);
    route.set(read());
}
