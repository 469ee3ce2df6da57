// A long list of which only what is in sight is there.

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

/** Rows above and below what is in sight. */
const SPARE = 8;

interface Many<T> {
    items: T[];
    /** Pixels; all rows are as high. */
    height: number;
    keyOf: (item: T) => string;
    label: string;
    head: ComponentChildren;
    children: (item: T) => ComponentChildren;
    class?: string;
    /** More of it than this is scrolled inside of the list. */
    most?: number;
    /** Hears which rows are there. */
    seen?: (first: number, last: number) => void;
}

/** Arrow keys go from row to row, by the first button or link of each. */
export function Rows<T>(many: Many<T>): JSX.Element {
    const { items, height, keyOf, label, head, children } = many;
    const box = useRef<HTMLDivElement>(null);
    const [view, setView] = useState({ top: 0, room: 800 });
    const wanted = useRef<number | null>(null);
    useEffect(() => {
        const place = box.current;
        if (!place) return;
        const look = () => setView({ top: place.scrollTop, room: place.clientHeight });
        look();
        place.addEventListener("scroll", look, { passive: true });
        const sizes = new ResizeObserver(look);
        sizes.observe(place);
        return () => {
            place.removeEventListener("scroll", look);
            sizes.disconnect();
        };
    }, []);
    const first = Math.max(0, Math.min(Math.floor(view.top / height) - SPARE, items.length - 1));
    const last = Math.min(items.length, Math.ceil((view.top + view.room) / height) + SPARE);
    useEffect(() => many.seen?.(first, last), [first, last]);
    const handle = (place: number) => box.current?.querySelector<HTMLElement>(`[data-row="${place}"] :is(a, button)`);
    useEffect(() => {
        const found = wanted.current === null ? null : handle(wanted.current);
        // It may come with a later drawing than this one.
        if (!found) return;
        wanted.current = null;
        found.focus({ preventScroll: true });
    });
    const go = (event: KeyboardEvent) => {
        const row = (event.target as HTMLElement).closest<HTMLElement>("[data-row]");
        const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity }[event.key];
        const place = box.current;
        if (!row || step === undefined || !place || !(event.target instanceof HTMLElement) || event.target.matches("input, select")) return;
        event.preventDefault();
        const next = Math.max(0, Math.min(items.length - 1, Number(row.dataset.row) + step));
        const top = next * height;
        // The head stays where it is and covers the first row.
        if (top < place.scrollTop) place.scrollTop = top;
        else if (top + height * 2 > place.scrollTop + place.clientHeight) place.scrollTop = top + height * 2 - place.clientHeight;
        const there = handle(next);
        wanted.current = there ? null : next;
        there?.focus({ preventScroll: true });
        setView({ top: place.scrollTop, room: place.clientHeight });
    };
    return (
        <div class={`card rows ${many.class ?? ""}`} ref={box} role="table" aria-label={label} aria-rowcount={items.length + 1} onKeyDown={go} style={{ maxHeight: `${many.most ?? 640}px` }} tabIndex={-1}>
            <div class="row row-head" role="row" aria-rowindex={1}>
                {head}
            </div>
            <div class="rows-all" role="rowgroup" style={{ height: `${items.length * height}px` }}>
                {items.slice(first, last).map((item, place) => (
                    <div class="row" role="row" key={keyOf(item)} data-row={first + place} aria-rowindex={first + place + 2} style={{ top: `${(first + place) * height}px`, height: `${height}px` }}>
                        {children(item)}
                    </div>
                ))}
            </div>
        </div>
    );
}

/** Whether the page is as narrow as a phone. */
export function useNarrow(): boolean {
    const query = "(max-width: 760px)";
    const [narrow, setNarrow] = useState(() => matchMedia(query).matches);
    useEffect(() => {
        const media = matchMedia(query);
        const heard = () => setNarrow(media.matches);
        media.addEventListener("change", heard);
        return () => media.removeEventListener("change", heard);
    }, []);
    return narrow;
}
