// Asks the admin API. Whatever is asked also tells how the connection is: see `link`.

import { signal } from "./signal.ts";

export interface Issue {
    at: string;
    problem: string;
    help: string;
}

export class Refused extends Error {
    readonly status: number;
    readonly code: string;
    readonly issues: Issue[];

    constructor(status: number, code: string, message: string, issues: Issue[] = []) {
        super(message);
        this.status = status;
        this.code = code;
        this.issues = issues;
    }
}

export type Link =
    | { is: "asking" }
    | { is: "good" }
    | { is: "lost"; since: number }
    | { is: "token"; wrong: boolean }
    | { is: "denied"; why: string };

export interface Caller {
    token: string | null;
    role: "read" | "write";
}

/** How it stands with the node that we ask. */
export const link = signal<Link>({ is: "asking" });
/** Who we are to it; none while that is not known. */
export const caller = signal<Caller | null>(null);

const KEY = "loadweaver-token";

function token(): string | null {
    return sessionStorage.getItem(KEY);
}

/** Takes a token for this tab; it is forgotten with it. */
export function enter(token: string): void {
    sessionStorage.setItem(KEY, token);
    link.set({ is: "asking" });
    void whoami();
}

export function leave(): void {
    sessionStorage.removeItem(KEY);
    caller.set(null);
    link.set({ is: "token", wrong: false });
}

export async function whoami(): Promise<void> {
    try {
        caller.set(await get<Caller>("api/whoami"));
    } catch {
        // `link` says why.
    }
}

/** Below wherever the page was loaded from. */
export function address(path: string): string {
    return new URL(path, document.baseURI).href;
}

function headers(more: Record<string, string>): Record<string, string> {
    const known = token();
    return known === null ? more : { ...more, Authorization: `Bearer ${known}` };
}

async function ask(path: string, init: RequestInit & { headers?: Record<string, string> }): Promise<Response> {
    let response: Response;
    try {
        response = await fetch(address(path), { ...init, headers: headers(init.headers ?? {}), cache: "no-store" });
    } catch (error) {
        if (init.signal?.aborted !== true) lose();
        throw error;
    }
    if (response.ok) {
        if (link.get().is !== "good") link.set({ is: "good" });
        return response;
    }
    throw await refusal(response);
}

function lose(): void {
    const before = link.get();
    if (before.is !== "lost" && before.is !== "token") link.set({ is: "lost", since: Date.now() });
}

async function refusal(response: Response): Promise<Refused> {
    const body: unknown = await response.json().catch(() => null);
    const error = (body as { error?: { code: string; message: string; issues: Issue[] } } | null)?.error;
    const refused = new Refused(
        response.status,
        error?.code ?? "unknown",
        error?.message ?? `the node answered ${response.status}`,
        error?.issues ?? [],
    );
    if (response.status === 401) {
        link.set({ is: "token", wrong: token() !== null });
        caller.set(null);
    } else if (response.status === 403 && ["foreign_host", "foreign_origin", "no_tokens", "no_admin"].includes(refused.code)) {
        link.set({ is: "denied", why: refused.message });
    } else if (link.get().is !== "good") {
        link.set({ is: "good" });
    }
    return refused;
}

async function data<T>(response: Response): Promise<T> {
    return ((await response.json()) as { data: T }).data;
}

/** `data` of what a GET answers. */
export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
    return data<T>(await ask(path, signal ? { signal } : {}));
}

/** The same with the version that it belongs to. */
export async function getTagged<T>(path: string): Promise<{ data: T; tag: string }> {
    const response = await ask(path, {});
    return { tag: response.headers.get("etag") ?? "", data: await data<T>(response) };
}

/** Sends JSON; `data` of the answer. */
export async function send<T>(method: string, path: string, body?: unknown, more: Record<string, string> = {}): Promise<T> {
    const init: RequestInit & { headers: Record<string, string> } = { method, headers: more };
    if (body !== undefined) {
        init.body = typeof body === "string" ? body : JSON.stringify(body);
        init.headers = { "Content-Type": "application/json", ...more };
    }
    return data<T>(await ask(path, init));
}

/** What a stream of server-sent events says, for as long as it lasts. EventSource cannot send a token. */
export async function* stream(path: string, last: string, signal: AbortSignal): AsyncGenerator<{ id: string; event: string; data: string }> {
    const response = await ask(path, { signal, headers: { Accept: "text/event-stream", "Last-Event-ID": last } });
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    if (!reader) return;
    let text = "";
    for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        text += value;
        const blocks = text.split("\n\n");
        text = blocks.pop() ?? "";
        for (const block of blocks) {
            const field = (name: string) =>
                block.split("\n").find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2) ?? "";
            if (field("data") !== "") yield { id: field("id"), event: field("event"), data: field("data") };
        }
    }
}
