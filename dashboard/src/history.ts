// The last hour as the node keeps it, taken over piece by piece. Nothing in here draws.

export type Column = (number | null)[];
export const NAMES = ["requests", "errors", "failures", "retries", "active", "up", "p50", "p95", "p99"] as const;
export type Columns = Record<(typeof NAMES)[number], Column>;

export interface Lines {
    startedAt: string;
    step: number;
    first: number;
    last: number;
    at: string | null;
    node: Columns;
    pools: ({ name: string } & Columns)[];
}

/** Points that are kept, as the node does. */
export const MOST: Record<number, number> = { 1: 300, 10: 360 };

/** What was known and what came after it. */
export function merged(known: Lines | null, news: Lines): Lines {
    const follows =
        known !== null && known.startedAt === news.startedAt && known.step === news.step && news.first === known.last + 1;
    if (!follows) return news;
    if (news.last < news.first) return { ...known, at: news.at ?? known.at };
    const most = MOST[news.step] ?? 360;
    const first = Math.max(known.first, news.last + 1 - most);
    const cut = first - known.first;
    const length = known.last + 1 - known.first;
    const before = new Map(known.pools.map((pool) => [pool.name, pool]));
    return {
        ...news,
        first,
        node: joined(known.node, news.node, cut, length),
        pools: news.pools.map((pool) => ({ name: pool.name, ...joined(before.get(pool.name), pool, cut, length) })),
    };
}

function joined(known: Columns | undefined, news: Columns, cut: number, length: number): Columns {
    const column = (name: keyof Columns): Column => {
        const before = known?.[name] ?? (Array.from({ length }, () => null) as Column);
        return [...before.slice(cut), ...news[name]];
    };
    return Object.fromEntries(NAMES.map((name) => [name, column(name)])) as Columns;
}

/** When each point ended, in seconds since 1970. */
export function times(lines: { first: number; last: number; at: string | null; step: number }): number[] {
    const end = lines.at === null ? 0 : Date.parse(lines.at) / 1000;
    const length = Math.max(0, lines.last + 1 - lines.first);
    return Array.from({ length }, (_, place) => end - (length - 1 - place) * lines.step);
}

/** The last number of a column; none where the last point has none. */
export function newest(column: Column | undefined): number | null {
    return column?.at(-1) ?? null;
}

/** So many cells for a column, each the least of its points. */
export function cells(column: Column, wanted: number, most: number): Column {
    const empty = Array.from({ length: Math.max(0, most - column.length) }, () => null) as Column;
    const all = [...empty, ...column].slice(-most);
    const width = most / wanted;
    return Array.from({ length: wanted }, (_, cell) => {
        const points = all.slice(Math.round(cell * width), Math.round((cell + 1) * width));
        const measured = points.filter((point) => point !== null);
        return measured.length === 0 ? null : Math.min(...measured);
    });
}
