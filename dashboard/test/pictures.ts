// Makes the pictures of the documentation: `npm run pictures`, with LOADWEAVER_BINARY. Some minutes of a life that has
// something to show, then every page in both themes and on a phone.

import { spawnSync } from "node:child_process";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { browser, close, open, PHONE, WIDE } from "./look.ts";
import { Balancer, Ear, eventually, Load, Origin } from "./rig.ts";

const FOLDER = process.env.PICTURES ?? path.resolve("../docs/images");
/** Seconds of traffic before the pictures. */
const WARM = Number(process.env.WARM ?? 330);
const wait = (seconds: number) => new Promise((done) => setTimeout(done, seconds * 1000));

const HEALTH = { type: "http", path: "/health", interval: "1s", timeout: "5s", rise: 1, fall: 2 };

async function life(): Promise<{ balancer: Balancer; end: () => Promise<void> }> {
    const ear = await new Ear().start();
    const swing = (middle: number, place: number) => () => Math.max(1, middle + 2 * place + 4 * Math.sin(Date.now() / 25_000 + place) + (Math.random() < 0.03 ? 40 * Math.random() : 4 * Math.random()));
    const start = (name: string, many: number, middle: number) =>
        Promise.all(Array.from({ length: many }, (_, place) => new Origin(`${name}-${place + 1}`, swing(middle, place)).start()));
    const [web, api, images] = await Promise.all([start("web", 6, 6), start("api", 4, 18), start("images", 2, 10)]);
    const servers = (all: Origin[], weights: number[] = []) =>
        all.map((one, place) => ({ id: one.id, host: "127.0.0.1", port: one.port, weight: weights[place] ?? 1 }));
    const balancer = await Balancer.start({
        listeners: { web: { bind: "127.0.0.1:0" } },
        admin: { bind: "127.0.0.1:0" },
        routes: [
            { name: "api", match: { path: "/api/" }, pool: "api" },
            { name: "images", match: { path: "/images/" }, pool: "images" },
            { name: "beta", match: { headers: { "x-beta": "1" } }, pool: "api" },
            { name: "rest", pool: "web" },
        ],
        pools: {
            web: { algorithm: "weighted_round_robin", servers: servers(web, [4, 2, 2, 1, 1, 1]), healthCheck: HEALTH },
            api: { algorithm: "least_connections", servers: servers(api), healthCheck: HEALTH },
            images: { servers: servers(images), healthCheck: HEALTH },
        },
        webhooks: [{ name: "ops", url: ear.url, events: ["server_down", "server_up", "pool_down", "pool_up", "config_applied"], secret: "a-secret-to-sign-with" }],
    });
    const loads = [new Load(`${balancer.address}/`, 14, 24), new Load(`${balancer.address}/api`, 6, 30), new Load(`${balancer.address}/images`, 3, 40)];
    await wait(WARM * 0.35);
    await web[4]!.stop();
    await balancer.send("PUT", "/api/servers/web-2/weight", { weight: 3 });
    await wait(WARM * 0.2);
    await web[4]!.start();
    await balancer.send("PUT", "/api/algorithm", { algorithm: "random", pool: "images" });
    await wait(WARM * 0.25);
    await balancer.send("PUT", "/api/servers/web-6/state", { state: "drain" });
    await balancer.send("PUT", "/api/servers/api-1/weight", { weight: 2 });
    await wait(WARM * 0.15);
    await api[3]!.stop();
    await eventually("api-4 is down", async () => (await balancer.get<{ status: string }>("/api/servers/api-4")).status === "down");
    await wait(WARM * 0.05);
    const end = async () => {
        await Promise.all(loads.map((load) => load.stop()));
        await balancer.stop();
        await ear.stop();
        await Promise.all([...web, ...api, ...images].map((origin) => origin.stop()));
    };
    return { balancer, end };
}

const PAGES: [string, string, string][] = [
    ["overview", "#/", ".u-over"],
    ["servers", "#/servers", ".servers .spark path"],
    ["server", "#/servers?pool=web&server=web-5", ".detail .probe"],
    ["distribution", "#/distribution?pool=web", ".fairness .off-bar"],
    ["events", "#/events", ".events [data-row]"],
    ["webhooks", "#/webhooks", ".deliveries [data-row]"],
    ["config", "#/config", "textarea"],
    ["explain", "#/explain?path=/images/logo.png&method=GET&host=shop.example.com", ".step"],
];

const { balancer, end } = await life();
const looking = await browser();
await mkdir(FOLDER, { recursive: true });
const devices = {
    light: { ...WIDE, colorScheme: "light" },
    dark: { ...WIDE, colorScheme: "dark" },
    phone: { ...PHONE, colorScheme: "light" },
} as const;
for (const [device, options] of Object.entries(devices)) {
    const page = await open(looking, `${balancer.admin}/`, options);
    for (const [name, hash, ready] of PAGES) {
        await page.goto(`${balancer.admin}/${hash}`);
        await page.locator(ready).first().waitFor({ state: "attached" });
        // Shares are of the last seconds, and rates need two readings.
        await wait(name === "servers" || name === "server" ? 5 : 2);
        const file = path.join(FOLDER, `${name}-${device}.png`);
        await page.screenshot({ path: file });
        smaller(file);
    }
    await close(page);
}
await looking.close();
await end();

/** 256 colours are enough for what has a dozen. */
function smaller(file: string): void {
    spawnSync("pngquant", ["--force", "--skip-if-larger", "--output", file, "--speed", "1", "128", file]);
}
