// The dashboard in a real browser, in front of the real binary, under load. Nothing waits for a time: each step waits
// until what it is about is seen.

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { browser, close, complaints, judge, open, PHONE } from "./look.ts";
import { Balancer, Ear, eventually, Load, Origin } from "./rig.ts";

// Origins share a thread with the load: on a busy machine they are slow, and that is not what is looked at. One that is
// gone refuses at once.
const HEALTH = { type: "http", path: "/health", interval: "200ms", timeout: "30s", rise: 1, fall: 2 };

let looking: Browser;
let origins: Origin[];
let balancer: Balancer;
let load: Load;
let ear: Ear;

const servers = (all: Origin[]) => all.map((origin) => ({ id: origin.id, host: "127.0.0.1", port: origin.port }));

before(async () => {
    looking = await browser();
    origins = await Promise.all(["app-1", "app-2", "app-3"].map((id) => new Origin(id).start()));
    ear = await new Ear().start();
    balancer = await Balancer.start({
        listeners: { web: { bind: "127.0.0.1:0" } },
        admin: { bind: "127.0.0.1:0" },
        webhooks: [{ name: "ops", url: ear.url, events: ["server_down", "server_up"], secret: "a-secret-to-sign-with" }],
        pools: { app: { algorithm: "weighted_round_robin", servers: servers(origins), healthCheck: HEALTH, passiveHealth: { hold: "1s" } } },
    });
    load = new Load(balancer.address, 4, 10);
});

after(async () => {
    await load.stop();
    await balancer.stop();
    await Promise.all(origins.map((origin) => origin.stop()));
    await ear.stop();
    await looking.close();
    assert.deepEqual(complaints, []);
});

/** The row of a server on the page of servers. */
const row = (page: Page, id: string) => page.locator(".servers [role=row]", { has: page.getByRole("link", { name: id, exact: true }) });

/** The share of traffic that the row shows, as a number of percents. */
async function share(page: Page, id: string): Promise<number> {
    const words = await row(page, id).locator(".share-words b").innerText();
    return words.startsWith("<") ? 0.01 : Number(words.replace("%", "").trim());
}

const waitForShare = (page: Page, id: string, what: string, fits: (share: number) => boolean) =>
    eventually(`the share of ${id} is ${what}`, async () => fits(await share(page, id)));

async function confirm(page: Page, word: string): Promise<void> {
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("heading", { name: "What changes" }).waitFor();
    await dialog.getByRole("button", { name: word, exact: true }).click();
    await dialog.waitFor({ state: "detached" });
}

test("the page and its parts say how long they are good, load nothing from elsewhere, and are the same to HEAD", async () => {
    const page = await fetch(`${balancer.admin}/`);
    const text = await page.text();
    assert.equal(page.headers.get("content-type"), "text/html; charset=utf-8");
    assert.match(page.headers.get("content-security-policy") ?? "", /^default-src 'none'; script-src 'self'; .*frame-ancestors 'none'$/);
    assert.equal(page.headers.get("cache-control"), "no-cache");
    assert.equal(page.headers.get("x-content-type-options"), "nosniff");
    assert.equal(page.headers.get("referrer-policy"), "no-referrer");
    const script = /src="\.\/(assets\/[^"]+\.js)"/.exec(text)?.[1] ?? "";
    const address = `${balancer.admin}/${script}`;
    const whole = await fetch(address, { headers: { "accept-encoding": "identity" } });
    const plain = await whole.arrayBuffer();
    assert.equal(whole.headers.get("content-type"), "text/javascript; charset=utf-8");
    assert.equal(whole.headers.get("cache-control"), "public, max-age=31536000, immutable");
    // Unpacked by fetch itself.
    const packed = await fetch(address, { headers: { "accept-encoding": "gzip" } });
    assert.equal(packed.headers.get("content-encoding"), "gzip");
    assert.ok(Number(packed.headers.get("content-length")) < plain.byteLength / 2);
    assert.deepEqual(Buffer.from(await packed.arrayBuffer()), Buffer.from(plain));
    const head = await fetch(address, { method: "HEAD" });
    assert.deepEqual([head.status, head.headers.get("etag")], [200, whole.headers.get("etag")]);
    const known = await fetch(address, { headers: { "if-none-match": whole.headers.get("etag") ?? "" } });
    assert.deepEqual([known.status, await known.text()], [304, ""]);
    assert.equal((await fetch(`${balancer.admin}/assets/..%2findex.html`)).status, 404);
});

test("a server that dies is told in words, gets nothing, and comes back", async () => {
    const page = await open(looking, `${balancer.admin}/`);
    await page.getByText("All is well.").waitFor();
    await page.getByText("3 of 3 up").waitFor();
    await origins[0]!.stop();
    const told = page.getByRole("list", { name: "What is wrong now" });
    await told.getByText("app-1 (pool app) is down").waitFor();
    await page.getByText("2 of 3 up").waitFor();
    await told.getByRole("link", { name: "app-1 (pool app) is down" }).click();
    const detail = page.getByRole("complementary", { name: "Server app-1" });
    await detail.locator(".verdict .state", { hasText: "Down" }).waitFor();
    await detail.getByText("It gets no new requests.").waitFor();
    await detail.locator(".probe", { hasText: "connection refused" }).first().waitFor();
    await page.keyboard.press("Escape");
    await detail.waitFor({ state: "detached" });
    await waitForShare(page, "app-1", "nothing", (now) => now === 0);
    await origins[0]!.start();
    await row(page, "app-1").locator(".state", { hasText: "Up" }).waitFor();
    await waitForShare(page, "app-1", "a third again", (now) => now > 25);
    assert.equal(load.failed, 0);
    await close(page);
});

test("a drained server's share falls to nothing, and undoing it brings it back", async () => {
    const page = await open(looking, `${balancer.admin}/#/servers`);
    await waitForShare(page, "app-2", "a third", (now) => now > 25);
    await row(page, "app-2").getByRole("link").click();
    const detail = page.getByRole("complementary", { name: "Server app-2" });
    await detail.getByRole("button", { name: "Drain" }).click();
    await confirm(page, "Drain");
    // Like this it stays.
    await page.locator(".message").hover();
    await detail.locator(".verdict .state", { hasText: "Drained" }).waitFor();
    await waitForShare(page, "app-2", "nothing", (now) => now === 0);
    await waitForShare(page, "app-1", "a half", (now) => now > 45);
    const served = origins[1]!.served;
    await page.locator(".message").getByRole("button", { name: "Undo" }).click();
    await detail.locator(".verdict .state", { hasText: "Up" }).waitFor();
    await waitForShare(page, "app-2", "a third again", (now) => now > 25);
    assert.ok(origins[1]!.served > served);
    await close(page);
});

test("a changed weight changes the distribution", async () => {
    const page = await open(looking, `${balancer.admin}/#/servers?server=app-3`);
    const detail = page.getByRole("complementary", { name: "Server app-3" });
    await detail.getByLabel("Weight").fill("4");
    await detail.getByRole("button", { name: "Set" }).click();
    await confirm(page, "Set the weight");
    await page.locator(".message").hover();
    await waitForShare(page, "app-3", "two thirds", (now) => now > 60);
    await page.locator(".message").getByRole("button", { name: "Undo" }).click();
    await waitForShare(page, "app-3", "a third", (now) => now < 40);
    await close(page);
});

test("an algorithm is changed, and what was not meant is left alone", async () => {
    const page = await open(looking, `${balancer.admin}/#/servers`);
    const pick = page.getByLabel("Algorithm of pool app");
    await pick.selectOption("random");
    await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    assert.equal(await pick.inputValue(), "weighted_round_robin");
    await pick.selectOption("least_connections");
    await confirm(page, "Set the algorithm");
    await page.locator(".message").hover();
    await eventually("the algorithm is shown", async () => (await pick.inputValue()) === "least_connections");
    await page.locator(".message").getByRole("button", { name: "Undo" }).click();
    await eventually("the algorithm is back", async () => (await pick.inputValue()) === "weighted_round_robin");
    await close(page);
});

test("a node that is gone is said to be gone, and what was known stays", async () => {
    const other = await Balancer.start({
        listeners: { web: { bind: "127.0.0.1:0" } },
        admin: { bind: "127.0.0.1:0" },
        pools: { app: { servers: servers(origins), healthCheck: HEALTH } },
    });
    const page = await open(looking, `${other.admin}/#/servers`);
    await row(page, "app-1").locator(".state", { hasText: "Up" }).waitFor();
    await other.kill();
    await page.getByText("No connection to LoadWeaver").waitFor();
    assert.equal(await row(page, "app-1").count(), 1);
    await row(page, "app-1").getByRole("link").click();
    assert.ok(await page.getByRole("button", { name: "Drain" }).isDisabled());
    await judge(page, "without a connection");
    await other.stop();
    await close(page);
});

test("a token is asked for, and one that may only look is told why it cannot change anything", async () => {
    const tokens = [{ name: "board", token: "a-token-to-look-only", role: "read" }, { name: "ops", token: "a-token-to-change-too", role: "write" }];
    const other = await Balancer.start({
        listeners: { web: { bind: "127.0.0.1:0" } },
        admin: { bind: "127.0.0.1:0", tokens },
        pools: { app: { servers: servers(origins), healthCheck: HEALTH } },
    });
    const page = await open(looking, `${other.admin}/#/servers?server=app-1`);
    await page.getByLabel("Token").fill("a-token-out-of-a-guess");
    await page.getByRole("button", { name: "Show the dashboard" }).click();
    await page.getByText("This token is not known to the node.").waitFor();
    await judge(page, "the door");
    await page.getByLabel("Token").fill("a-token-to-look-only");
    await page.getByRole("button", { name: "Show the dashboard" }).click();
    await page.getByText("Not possible: the token \"board\" may only look").waitFor();
    assert.ok(await page.getByRole("button", { name: "Drain" }).isDisabled());
    assert.ok(await page.getByLabel("Algorithm of pool app").isDisabled());
    await judge(page, "with a token to look");
    assert.equal(await page.evaluate(() => localStorage.length + document.cookie.length), 0);
    await page.getByRole("button", { name: "Leave" }).click();
    await page.getByLabel("Token").fill("a-token-to-change-too");
    await page.getByRole("button", { name: "Show the dashboard" }).click();
    await eventually("it may change", () => page.getByRole("button", { name: "Drain" }).isEnabled());
    await other.stop();
    await close(page);
});

test("two thousand servers are searched, sorted and walked through by keyboard without a wait", async () => {
    const many = Array.from({ length: 2000 }, (_, place) => ({ id: `s${place}`, host: "127.0.0.1", port: origins[place % 3]!.port }));
    const other = await Balancer.start({
        listeners: { web: { bind: "127.0.0.1:0" } },
        admin: { bind: "127.0.0.1:0" },
        pools: { app: { servers: many, healthCheck: { type: "off" } } },
    });
    const page = await open(looking, `${other.admin}/#/servers?order=server`);
    await page.getByText("2000 servers").waitFor();
    assert.ok((await page.locator(".servers [role=row]").count()) < 60);
    // From the key to the list that is drawn: two frames after the event, as the browser itself counts.
    await page.evaluate(() => {
        const times: number[] = [];
        Object.assign(window, { times });
        document.querySelector("input[type=search]")!.addEventListener("input", (event) => {
            requestAnimationFrame(() => requestAnimationFrame(() => times.push(performance.now() - event.timeStamp)));
        });
    });
    const search = page.getByLabel("Search servers");
    for (const key of "s199") await search.press(key);
    await page.getByText("11 of 2000 servers").waitFor();
    const times = await eventually("each key was answered", async () => {
        const all = await page.evaluate(() => (window as unknown as { times: number[] }).times);
        return all.length === 4 ? all.sort((one, other) => one - other) : null;
    });
    console.log(`from a key to the drawn list: ${times.map((time) => time.toFixed(0)).join(", ")} ms`);
    await search.fill("");
    await page.getByText("2000 servers").waitFor();
    const place = () => page.evaluate(() => document.activeElement?.textContent ?? "");
    await page.getByRole("link", { name: "s0", exact: true }).focus();
    await page.keyboard.press("ArrowDown");
    await eventually("the next one has the focus", async () => (await place()) === "s1");
    await page.keyboard.press("End");
    await eventually("the last one has the focus", async () => (await place()) === "s1999");
    await page.keyboard.press("Enter");
    await page.getByRole("complementary", { name: "Server s1999" }).waitFor();
    await other.stop();
    await close(page);
});

test("the distribution over time follows a weight", async () => {
    const page = await open(looking, `${balancer.admin}/#/distribution?window=1`);
    await page.locator(".u-over").waitFor();
    const got = async (id: string) => {
        const cells = await page.locator(".fairness [role=row]", { has: page.getByRole("link", { name: id, exact: true }) }).locator("[role=cell]").allInnerTexts();
        return Number.parseFloat(cells[4] ?? "");
    };
    await eventually("app-1 gets a third", async () => Math.abs((await got("app-1")) - 33.3) < 8);
    assert.equal(await balancer.send("PUT", "/api/servers/app-1/weight", { weight: 8 }), 200);
    await eventually("app-1 gets four fifths", async () => (await got("app-1")) > 70);
    await page.getByText("give or take a tenth").waitFor();
    assert.equal(await balancer.send("PUT", "/api/servers/app-1/weight", { weight: 1 }), 200);
    await close(page);
});

test("events come as they happen, are searched and narrowed, and show all that they say", async () => {
    const page = await open(looking, `${balancer.admin}/#/events`);
    await page.locator(".live-on").waitFor();
    const rows = page.locator(".events [role=row]");
    await origins[2]!.stop();
    await rows.filter({ hasText: "Server down" }).filter({ hasText: "app-3" }).first().waitFor();
    await origins[2]!.start();
    await rows.filter({ hasText: "Server up" }).filter({ hasText: "app-3" }).first().waitFor();
    await page.getByLabel("Search events").fill("app-3 down");
    await eventually("only what is searched for is there", async () => {
        const all = await rows.allInnerTexts();
        return all.length > 1 && all.slice(1).every((line) => line.includes("app-3"));
    });
    await rows.getByRole("button", { name: "Server down" }).first().click();
    const one = page.getByRole("complementary");
    await one.getByText("\"event\": \"server_down\"").waitFor();
    await page.keyboard.press("Escape");
    await one.waitFor({ state: "detached" });
    await page.getByLabel("Kind").selectOption("server_up");
    await page.getByText("No event is like that").waitFor();
    await close(page);
});

test("a message that a webhook gave is seen, and sent again", async () => {
    await eventually("somebody heard of app-3", async () => ear.heard.find((one) => one.event === "server_down"));
    const page = await open(looking, `${balancer.admin}/#/webhooks`);
    const sent = page.locator(".deliveries [role=row]", { hasText: "Server down" }).first();
    await sent.getByText("Delivered").waitFor();
    const before = ear.heard.length;
    await sent.getByRole("button", { name: /again/ }).click();
    await page.getByText("is sent again to ops").waitFor();
    // Other news may come in between, and before it.
    await eventually("a message was heard a second time", async () =>
        ear.heard.find((one, at) => at >= before && ear.heard.slice(0, at).some((first) => first.delivery === one.delivery)));
    await close(page);
});

test("a configuration is tried, refused in words, applied, and taken back", async () => {
    const page = await open(looking, `${balancer.admin}/#/config`);
    const text = page.getByLabel("The configuration");
    const written = async () => JSON.parse(await text.inputValue()) as { pools: { app: { algorithm: string; retry?: object } } };
    await text.waitFor();
    const first = await page.locator(".version", { hasText: "in force" }).locator("b").innerText();
    const wanted = await written();
    wanted.pools.app.retry = { attempts: 0.5 };
    await text.fill(JSON.stringify(wanted, null, 2));
    await page.getByRole("button", { name: "Try", exact: true }).click();
    await page.locator(".refused code", { hasText: "/pools/app/retry/attempts" }).waitFor();
    assert.ok(await page.getByRole("button", { name: "Apply" }).isDisabled());
    wanted.pools.app.retry = { attempts: 2 };
    await text.fill(JSON.stringify(wanted, null, 2));
    await page.locator(".line-new", { hasText: "\"attempts\": 2" }).waitFor();
    await page.getByRole("button", { name: "Try", exact: true }).click();
    await page.getByRole("heading", { name: "What changes" }).waitFor();
    await page.getByRole("button", { name: "Apply" }).click();
    await page.getByRole("button", { name: `Go back to version ${first}` }).click();
    await confirm(page, "Go back");
    await eventually("the file is as it was", async () => (await written()).pools.app.retry === undefined);
    const config = await balancer.get<{ pools: { app: { retry?: object } } }>("/api/config");
    assert.equal(config.pools.app.retry, undefined);
    await close(page);
});

test("the problems of a file that was refused are shown", async () => {
    const other = await Balancer.start({
        listeners: { web: { bind: "127.0.0.1:0" } },
        admin: { bind: "127.0.0.1:0" },
        pools: { app: { servers: servers(origins), healthCheck: HEALTH } },
    });
    const page = await open(looking, `${other.admin}/#/config`);
    await page.getByText("in force").first().waitFor();
    const text = await readFile(other.file, "utf8");
    await writeFile(other.file, text.replace("\"servers\"", "\"serverz\""));
    await page.getByRole("heading", { name: "The last change was refused" }).waitFor();
    await page.locator(".refused-last code", { hasText: "/pools/app/serverz" }).waitFor();
    await page.goto(`${other.admin}/#/`);
    await page.getByRole("link", { name: "The last change of the configuration was refused" }).waitFor();
    await other.stop();
    await close(page);
});

test("why a request would go where it goes is explained", async () => {
    const page = await open(looking, `${balancer.admin}/#/explain`);
    await page.getByLabel("Path and query").fill("/cart?item=1");
    await page.getByLabel("Headers, one a line").fill("x-beta: 1\nx-other: 2");
    await page.getByRole("button", { name: "Explain" }).click();
    await page.getByText("Forwarded.").waitFor();
    await page.getByRole("heading", { name: "Pool app" }).waitFor();
    await page.getByText("3 of 3 servers could take it.").waitFor();
    await page.getByLabel("Headers, one a line").fill("no header");
    await page.getByRole("button", { name: "Explain" }).click();
    await page.locator(".answers .refused").waitFor();
    await close(page);
});

const PAGES: { hash: string; ready: string }[] = [
    { hash: "#/", ready: ".u-over" },
    { hash: "#/servers?server=app-1", ready: ".detail .probe" },
    { hash: "#/servers", ready: ".servers .spark path" },
    { hash: "#/distribution", ready: ".fairness .off-bar" },
    { hash: "#/events", ready: ".events [data-row]" },
    { hash: "#/webhooks", ready: ".deliveries [data-row]" },
    { hash: "#/config", ready: "textarea" },
    { hash: "#/explain?path=/", ready: ".step" },
];

for (const scheme of ["light", "dark"] as const) {
    test(`each page is fit for everybody, ${scheme}, wide and on a phone`, async () => {
        const wrong: string[] = [];
        for (const device of [{}, PHONE]) {
            const page = await open(looking, `${balancer.admin}/`, { colorScheme: scheme, ...device });
            for (const { hash, ready } of PAGES) {
                await page.goto(`${balancer.admin}/${hash}`);
                await page.locator(ready).first().waitFor({ state: "attached" });
                const what = `${hash} ${scheme} ${"isMobile" in device ? "phone" : "wide"}`;
                // All of them are looked at before any is complained of.
                await judge(page, what).catch((error: Error & { actual?: unknown }) => wrong.push(`${what}: ${JSON.stringify(error.actual)}`));
            }
            await close(page);
        }
        assert.deepEqual(wrong, []);
    });
}
