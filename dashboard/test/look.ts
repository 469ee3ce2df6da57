// A browser that looks at the dashboard, and notes whatever a page complains of.

import axe from "axe-core";
import assert from "node:assert/strict";
import { chromium, type Browser, type BrowserContextOptions, type Page } from "playwright-core";
import { PATIENCE } from "./rig.ts";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
/** Nothing is to be asked of anybody else than the balancer. */
const QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

export const WIDE = { viewport: { width: 1360, height: 860 } };
export const PHONE = { viewport: { width: 375, height: 812 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };

export function browser(): Promise<Browser> {
    return chromium.launch({ executablePath: CHROMIUM, args: QUIET });
}

/** What pages have complained of: refused by the policy, an exception, a failed request of the page itself. */
export const complaints: string[] = [];

export async function open(browser: Browser, address: string, options: BrowserContextOptions = {}): Promise<Page> {
    const context = await browser.newContext({ ...WIDE, reducedMotion: "reduce", ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE);
    page.on("pageerror", (error) => complaints.push(`${page.url()}: ${error.message}`));
    page.on("console", (message) => {
        // Chromium tells of each request that is refused; the tests that cut the connection or send wrong tokens mean it.
        const refused = message.text().startsWith("Failed to load resource");
        if (message.type() === "error" && !refused) complaints.push(`${page.url()}: ${message.text()}`);
    });
    await page.goto(address);
    return page;
}

export async function close(page: Page): Promise<void> {
    await page.context().close();
}

/** WCAG 2.1 AA, as far as axe can see it; and nothing is wider than the screen. */
export async function judge(page: Page, what: string): Promise<void> {
    await page.evaluate(axe.source);
    const { violations } = await page.evaluate(async () => {
        const { axe } = window as unknown as { axe: { run(options: object): Promise<{ violations: { id: string; help: string; nodes: { html: string; failureSummary?: string }[] }[] }> } };
        return axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"] });
    });
    const told = violations.flatMap((one) => one.nodes.map((node) => `${one.id}: ${one.help}\n    ${node.html.slice(0, 240)}\n    ${node.failureSummary ?? ""}`));
    assert.deepEqual(told, [], what);
    const beyond = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.equal(beyond, 0, `${what}: wider than the screen by ${beyond} pixels`);
}
