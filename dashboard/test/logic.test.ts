import assert from "node:assert/strict";
import { test } from "node:test";
import { compared } from "../src/diff.ts";
import { ago, count, millis, percent, span } from "../src/format.ts";
import { cells, merged, NAMES, times, type Column, type Columns, type Lines } from "../src/history.ts";
import type { ServerView } from "../src/shapes.ts";
import { expected, keyOf, rates, read, type Reading } from "../src/shares.ts";

const columns = (values: Column): Columns => Object.fromEntries(NAMES.map((name) => [name, values])) as Columns;

function lines(first: number, values: Column, more: Partial<Lines> = {}): Lines {
    const at = "2026-01-01T00:10:00Z";
    return { startedAt: "a", step: 1, first, last: first + values.length - 1, at, node: columns(values), pools: [], ...more };
}

test("news follow what is known, and the oldest leave", () => {
    const all = merged(lines(0, Array.from({ length: 299 }, () => 1)), lines(299, [2, 3, 4]));
    assert.equal(all.first, 2);
    assert.equal(all.last, 301);
    assert.equal(all.node.requests.length, 300);
    assert.deepEqual(all.node.p99.slice(-4), [1, 2, 3, 4]);
});

test("news of another process, or with a gap before them, replace what is known", () => {
    const known = lines(0, [1, 2, 3]);
    const other = lines(0, [9], { startedAt: "b" });
    assert.equal(merged(known, other), other);
    const later = lines(9, [9]);
    assert.equal(merged(known, later), later);
});

test("a pool that is new has nothing before, and one that left is gone", () => {
    const pool = (name: string, values: Column) => ({ name, ...columns(values) });
    const known = lines(0, [1, 2], { pools: [pool("old", [1, 2])] });
    const all = merged(known, lines(2, [3], { pools: [pool("new", [7])] }));
    assert.deepEqual(all.pools.map((one) => [one.name, one.up]), [["new", [null, null, 7]]]);
});

test("no news change nothing", () => {
    const known = lines(0, [1, 2]);
    const all = merged(known, { ...lines(2, []), last: 1 });
    assert.deepEqual([all.first, all.last, all.node.requests], [0, 1, [1, 2]]);
});

test("each point has its time", () => {
    assert.deepEqual(times(lines(5, [1, 2, 3], { step: 10 })).map((at) => at - Date.parse("2026-01-01T00:10:00Z") / 1000), [-20, -10, 0]);
});

test("a cell is the least of its points", () => {
    assert.deepEqual(cells([1, 0.5, 1, 1, null, 1], 3, 6), [0.5, 1, 1]);
    assert.deepEqual(cells([1, 1], 3, 6), [null, null, 1]);
});

const server = (serverId: string, more: Partial<ServerView> = {}): ServerView => ({
    serverId, pool: "app", host: "h", resolved: null, weight: 1, state: "active", status: "up", reason: "fine",
    since: "2026-01-01T00:00:00Z", eligible: true, share: 1000, activeConnections: 0, requests: 0, failures: 0, retries: 0,
    latency: { p50: null, p90: null, p99: null, average: null }, ...more,
});

test("a server's due is its weight among those that may have requests", () => {
    const due = expected([server("a", { weight: 3 }), server("b"), server("c", { eligible: false }), server("d", { pool: "other", share: 100 })]);
    assert.deepEqual([...due.values()], [0.75, 0.25, 0, 1]);
});

test("shares are of the last seconds, by pool, and a counter that begins anew counts nothing", () => {
    let readings: Reading[] = [];
    for (let second = 0; second <= 30; second += 2) {
        const servers = [server("a", { requests: second * 3 }), server("b", { requests: second }), server("c", { requests: second < 20 ? 1000 : 1 })];
        readings = read(readings, servers, second * 1000);
    }
    assert.ok(readings.length <= 7, String(readings.length));
    const got = rates(readings, [server("a"), server("b"), server("c")]);
    assert.deepEqual(got.get(keyOf(server("a"))), { rate: 3, share: 0.75 });
    assert.equal(got.get(keyOf(server("c")))?.rate, 0);
});

test("numbers are short and do not lie at the ends", () => {
    assert.deepEqual([0, 0.123, 7.26, 42, 9999, 12_345, 2_500_000, null].map(count), ["0", "0.12", "7.3", "42", "9999", "12.3 k", "2.5 M", "–"]);
    assert.deepEqual([0, 1, 0.9999, 0.00004, 0.5].map(percent), ["0 %", "100 %", "99.99 %", "< 0.01 %", "50.0 %"]);
    assert.deepEqual([0.4, 18, 1234, 70_000].map(millis), ["0.40 ms", "18 ms", "1.2 s", "70 s"]);
    assert.deepEqual([3, 75, 7300, 90_000].map(span), ["3 s", "1 min", "2 h 1 min", "1 d"]);
    assert.equal(ago(1000, 1500), "just now");
});

test("texts are compared by what stays, with a little around what differs", () => {
    const lines = Array.from({ length: 20 }, (_, place) => `line ${place}`);
    const before = lines.join("\n");
    const after = [...lines.slice(0, 9), "other", ...lines.slice(10), "more"].join("\n");
    assert.deepEqual(compared(before, after).map((piece) => `${piece.kind} ${piece.text}`), [
        "gap ", "same line 7", "same line 8", "gone line 9", "new other", "same line 10", "same line 11", "gap ",
        "same line 18", "same line 19", "new more",
    ]);
    assert.deepEqual(compared("a\nb", "a\nb").filter((piece) => piece.kind !== "gap"), []);
});
