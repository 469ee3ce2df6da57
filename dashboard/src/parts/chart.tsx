// Lines and stacks over time, by uPlot.

import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { clock } from "../format.ts";
import type { Column } from "../history.ts";
import { colour, colours } from "../theme.ts";

export interface Track {
    label: string;
    values: Column;
    /** A name of the style sheet, without its dashes. */
    colour: string;
    dash?: number[];
    fill?: boolean;
}

interface Shape {
    times: number[];
    tracks: Track[];
    show: (value: number | null) => string;
    /** What is drawn, for whoever does not see it. */
    label: string;
    height: number;
    stacked?: boolean;
    /** Seconds that are shown, whether there are points for all or not. */
    seconds: number;
}

const TICKS = "11px system-ui, sans-serif";

export function Chart(shape: Shape): JSX.Element {
    const place = useRef<HTMLDivElement>(null);
    const plot = useRef<uPlot | null>(null);
    const [at, setAt] = useState<number | null>(null);
    // Another set of lines is another plot; other numbers are not.
    const kind = JSON.stringify([shape.tracks.map((track) => [track.label, track.colour]), shape.height, shape.stacked]);
    const shown = useRef(shape);
    shown.current = shape;
    const data = useMemo(() => drawn(shape), [shape.times, shape.tracks]);

    useEffect(() => {
        const box = place.current;
        if (!box) return;
        const made = new uPlot(options(shown, box.clientWidth, setAt), drawn(shown.current), box);
        plot.current = made;
        const sizes = new ResizeObserver(() => made.setSize({ width: box.clientWidth, height: shown.current.height }));
        sizes.observe(box);
        const deaf = colours.follow(() => made.redraw(false, true));
        return () => {
            sizes.disconnect();
            deaf();
            made.destroy();
            plot.current = null;
        };
    }, [kind]);

    useEffect(() => plot.current?.setData(data), [data]);

    const point = at !== null && at < shape.times.length ? at : shape.times.length - 1;
    const values = shape.tracks.map((track) => ({ ...track, value: track.values[point] ?? null }));
    return (
        <div class="chart">
            <ul class="legend" aria-hidden="true">
                {values.map((track) => (
                    <li key={track.label}>
                        <Key track={track} /> {track.label} <b>{shape.show(track.value)}</b>
                    </li>
                ))}
                <li class="legend-at">{at !== null && shape.times[point] ? clock(shape.times[point] * 1000) : ""}</li>
            </ul>
            <div ref={place} class="plot" style={{ height: `${shape.height}px` }} role="img" aria-label={`${shape.label}. Now: ${values.map((track) => `${track.label} ${shape.show(track.value)}`).join(", ")}`} />
        </div>
    );
}

function Key({ track }: { track: Track }): JSX.Element {
    return (
        <svg class="key" width="14" height="8" viewBox="0 0 14 8" aria-hidden="true">
            {track.fill ? (
                <rect width="14" height="8" rx="2" style={{ fill: `var(--${track.colour})` }} />
            ) : (
                <path d="M0 4h14" style={{ stroke: `var(--${track.colour})` }} stroke-width="2" stroke-dasharray={track.dash?.map((part) => part / 2).join(" ")} />
            )}
        </svg>
    );
}

/** Of a stack each line is the sum of those below it. */
function drawn({ times, tracks, stacked }: Shape): uPlot.AlignedData {
    if (!stacked) return [times, ...tracks.map((track) => track.values)];
    const sums = times.map(() => 0);
    const lines = tracks.map((track) =>
        track.values.map((value, place) => {
            sums[place] = (sums[place] ?? 0) + (value ?? 0);
            return sums[place];
        }),
    );
    return [times, ...lines];
}

function options(shape: { current: Shape }, width: number, setAt: (at: number | null) => void): uPlot.Options {
    const { tracks, height, stacked, seconds } = shape.current;
    const axis: uPlot.Axis = {
        stroke: () => colour("muted"),
        grid: { stroke: () => colour("grid"), width: 1 },
        ticks: { show: false },
        font: TICKS,
    };
    const line = (track: Track): uPlot.Series => ({
        label: track.label,
        stroke: () => colour(track.colour),
        width: stacked ? 1 : 1.5,
        points: { show: false },
        spanGaps: false,
        ...(track.dash ? { dash: track.dash } : {}),
        ...(track.fill ? { fill: () => `color-mix(in srgb, ${colour(track.colour)} ${stacked ? 70 : 16}%, transparent)` } : {}),
    });
    const series = tracks.map(line);
    return {
        width,
        height,
        padding: [8, 22, 0, 0],
        legend: { show: false },
        cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false }, sync: { key: "time" } },
        scales: {
            x: {
                time: true,
                range: () => {
                    const end = shape.current.times.at(-1) ?? Date.now() / 1000;
                    return [end - (shape.current.seconds || seconds), end];
                },
            },
            y: { range: (_, __, most) => [0, most > 0 ? most * 1.08 : 1] },
        },
        axes: [
            { ...axis, size: 20, gap: 4, space: 72, values: (_, splits) => splits.map((at) => clock(at * 1000).slice(-8, seconds > 900 ? -3 : undefined)) },
            { ...axis, size: (_, values) => 14 + 6.4 * Math.max(3, ...(values ?? []).map((value) => value.length)), gap: 6, space: 24, values: (_, splits) => splits.map((value) => shape.current.show(value)) },
        ],
        series: [{}, ...series],
        // What is below covers what is above it.
        ...(stacked ? { bands: tracks.slice(1).map((_, place) => ({ series: [place + 2, place + 1] as [number, number] })) } : {}),
        hooks: { setCursor: [(made) => setAt(made.cursor.idx ?? null)] },
    };
}

/** A line as large as a word. */
export function Spark({ values, label }: { values: Column; label: string }): JSX.Element {
    const measured = values.filter((value) => value !== null);
    if (measured.length < 2) return <span class="spark muted" role="img" aria-label={`${label}: not measured yet`}>–</span>;
    const most = Math.max(...measured) * 1.2 || 1;
    const width = 88;
    const height = 22;
    const step = width / Math.max(1, values.length - 1);
    let path = "";
    let pen = false;
    values.forEach((value, place) => {
        if (value === null) {
            pen = false;
            return;
        }
        path += `${pen ? "L" : "M"}${(place * step).toFixed(1)} ${(height - 2 - (value / most) * (height - 4)).toFixed(1)}`;
        pen = true;
    });
    return (
        <svg class="spark" width={width} height={height} viewBox={`0 0 ${width} ${height}`} role="img" aria-label={label}>
            <path d={path} />
        </svg>
    );
}

/** Shares over time as cells: full, partly, none, not known. Their height says it too. */
export function Strip({ shares, label, title }: { shares: Column; label: string; title?: (cell: number) => string }): JSX.Element {
    return (
        <div class="strip" role="img" aria-label={label}>
            {shares.map((share, cell) => {
                const kind = share === null ? "none" : share >= 0.9995 ? "full" : share > 0 ? "part" : "empty";
                return <span key={cell} class={`cell cell-${kind}`} title={title?.(cell)} style={kind === "part" ? { height: `${20 + 60 * (share ?? 0)}%` } : undefined} />;
            })}
        </div>
    );
}
