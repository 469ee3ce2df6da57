// The real binary in front of small origins, under a load, with somebody who hears its webhooks: what the browser looks
// at. Everything listens on ports that the system chose.

import { spawn, type ChildProcess } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import http from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";

/** What is waited for comes within this, or the test fails. */
export const PATIENCE = 60_000;

const BINARY = process.env.LOADWEAVER_BINARY ?? "";

/** Asks until it is so. */
export async function eventually<T>(what: string, ask: () => Promise<T | undefined | false | null>, patience = PATIENCE): Promise<T> {
    const end = Date.now() + patience;
    for (;;) {
        const found = await ask();
        if (found !== undefined && found !== false && found !== null) return found;
        if (Date.now() > end) throw new Error(`it never came: ${what}`);
        await new Promise((done) => setTimeout(done, 50));
    }
}

/** A server that can die as a process does, and come back where it was. */
export class Origin {
    served = 0;
    readonly id: string;
    port = 0;
    #server: http.Server | null = null;
    readonly #sockets = new Set<Socket>();
    readonly #pause: () => number;

    constructor(id: string, pause: () => number = () => 2) {
        this.id = id;
        this.#pause = pause;
    }

    async start(): Promise<this> {
        const server = http.createServer((request, response) => {
            if (request.url === "/health") return void response.end("well\n");
            this.served += 1;
            setTimeout(() => response.end(`${this.id}\n`), this.#pause());
        });
        server.on("connection", (socket) => {
            this.#sockets.add(socket);
            socket.on("close", () => this.#sockets.delete(socket));
        });
        await new Promise<void>((done, failed) => {
            server.once("error", failed);
            server.listen(this.port, "127.0.0.1", done);
        });
        this.port = (server.address() as AddressInfo).port;
        this.#server = server;
        return this;
    }

    async stop(): Promise<void> {
        const server = this.#server;
        this.#server = null;
        if (!server) return;
        const closed = new Promise((done) => server.close(done));
        for (const socket of this.#sockets) socket.destroy();
        await closed;
    }
}

/** Takes messages of webhooks. */
export class Ear {
    readonly heard: { event: string; delivery: string }[] = [];
    /** What it answers. */
    status = 200;
    url = "";
    #server: http.Server | null = null;

    async start(): Promise<this> {
        const server = http.createServer((request, response) => {
            let text = "";
            request.on("data", (part: Buffer) => (text += part.toString()));
            request.on("end", () => {
                const message = JSON.parse(text) as { event: string };
                this.heard.push({ event: message.event, delivery: String(request.headers["x-loadweaver-delivery"]) });
                response.writeHead(this.status).end();
            });
        });
        await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
        this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
        this.#server = server;
        return this;
    }

    async stop(): Promise<void> {
        this.#server?.closeAllConnections();
        this.#server?.close();
    }
}

export class Balancer {
    readonly address: string;
    readonly admin: string;
    readonly file: string;
    readonly #folder: string;
    readonly #process: ChildProcess;

    private constructor(child: ChildProcess, folder: string, addresses: { web: string; admin: string }) {
        this.#process = child;
        this.#folder = folder;
        this.file = path.join(folder, "config.json");
        this.address = addresses.web;
        this.admin = `http://${addresses.admin}`;
    }

    static async start(config: object): Promise<Balancer> {
        const folder = await mkdtemp(path.join(tmpdir(), "loadweaver-dashboard-"));
        const file = path.join(folder, "config.json");
        await writeFile(file, `${JSON.stringify(config, null, 2)}\n`);
        const child = spawn(BINARY, ["run", "--config", file], { stdio: ["ignore", "ignore", "pipe"] });
        let log = "";
        child.stderr.on("data", (part: Buffer) => (log += part.toString()));
        const found = (line: RegExp) => line.exec(log)?.[1];
        await eventually(`the balancer is ready`, async () => {
            if (child.exitCode !== null) throw new Error(`the balancer ended:\n${log}`);
            return /^ready$/m.test(log);
        });
        const web = found(/^listening listener=web address=(\S+)$/m) ?? "";
        const admin = found(/^listening admin address=(\S+)$/m) ?? "";
        return new Balancer(child, folder, { web, admin });
    }

    async get<T>(path: string): Promise<T> {
        const response = await fetch(`${this.admin}${path}`);
        const { data } = (await response.json()) as { data: T };
        return data;
    }

    async send(method: string, path: string, body: unknown): Promise<number> {
        const headers = { "Content-Type": "application/json" };
        const response = await fetch(`${this.admin}${path}`, { method, headers, body: JSON.stringify(body) });
        await response.arrayBuffer();
        return response.status;
    }

    /** As a crash of the node: the address refuses from then on. */
    async kill(): Promise<void> {
        // Whoever was ended by a signal has no exit code.
        const lives = this.#process.exitCode === null && this.#process.signalCode === null;
        const ended = lives ? new Promise((done) => this.#process.once("exit", done)) : null;
        this.#process.kill("SIGKILL");
        await ended;
    }

    async stop(): Promise<void> {
        await this.kill();
        await rm(this.#folder, { recursive: true, force: true });
    }
}

/** Requests one after another on a few connections, so many a second altogether at most. */
export class Load {
    answered = 0;
    failed = 0;
    #stopped = false;
    readonly #agent = new http.Agent({ keepAlive: true });
    readonly #all: Promise<void>[];

    constructor(address: string, connections: number, pause: number) {
        this.#all = Array.from({ length: connections }, () => this.#one(address, pause));
    }

    async #one(address: string, pause: number): Promise<void> {
        while (!this.#stopped) {
            await new Promise<void>((done) => {
                const request = http.get(`http://${address}/`, { agent: this.#agent }, (response) => {
                    response.resume();
                    response.on("end", () => {
                        if ((response.statusCode ?? 500) < 500) this.answered += 1;
                        else this.failed += 1;
                        done();
                    });
                });
                request.on("error", () => {
                    this.failed += 1;
                    done();
                });
            });
            await new Promise((done) => setTimeout(done, pause));
        }
    }

    async stop(): Promise<void> {
        this.#stopped = true;
        await Promise.all(this.#all);
        this.#agent.destroy();
    }
}
