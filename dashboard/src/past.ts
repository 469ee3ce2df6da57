// The history as pages follow it: asked for once, and from then on only what is new.

import { useEffect } from "preact/hooks";
import { caller, get } from "./api.ts";
import { merged, type Lines } from "./history.ts";
import { signal, useSignal, type Signal } from "./signal.ts";

interface Followed {
    lines: Signal<Lines | null>;
    watchers: number;
    timer: ReturnType<typeof setTimeout> | undefined;
}

const all = new Map<number, Followed>();

function followed(step: number): Followed {
    let one = all.get(step);
    if (!one) {
        one = { lines: signal<Lines | null>(null), watchers: 0, timer: undefined };
        all.set(step, one);
    }
    return one;
}

async function ask(step: number, one: Followed): Promise<void> {
    clearTimeout(one.timer);
    try {
        if (!document.hidden) {
            const known = one.lines.get();
            const since = known && known.last >= 0 ? `&since=${known.last}` : "";
            const news = await get<Lines>(`api/history?step=${step}${since}`);
            one.lines.set(merged(known, news));
        }
    } catch {
        // The page says that the connection is lost; what was known stays.
    }
    clearTimeout(one.timer);
    // A point of ten seconds is not to be waited for longer than two.
    if (one.watchers > 0) one.timer = setTimeout(() => void ask(step, one), step === 1 ? 1000 : 2000);
}

export function useHistory(step: 1 | 10): Lines | null {
    const one = followed(step);
    const lines = useSignal(one.lines);
    useEffect(() => {
        one.watchers += 1;
        void ask(step, one);
        return () => {
            one.watchers -= 1;
            if (one.watchers === 0) clearTimeout(one.timer);
        };
    }, [step]);
    return lines;
}

caller.follow((who) => {
    if (who) for (const [step, one] of all) if (one.watchers > 0) void ask(step, one);
});
