// What the API answers, as far as we read it; `/openapi.json` has all of it.

import type { Issue } from "./api.ts";

export interface PoolView {
    name: string;
    algorithm: string;
    up: number;
    total: number;
    requests: number;
    failures: number;
    retries: number;
    fallbacks: number;
}

export interface Times {
    p50: number | null;
    p90: number | null;
    p99: number | null;
    average: number | null;
}

export type Verdict = "unknown" | "up" | "down" | "unstable";
export type Wanted = "active" | "drain" | "maintenance";

export interface ServerView {
    serverId: string;
    pool: string;
    host: string;
    port?: number;
    resolved: string | null;
    weight: number;
    state: Wanted;
    status: Verdict;
    reason: string;
    since: string;
    eligible: boolean;
    share: number;
    activeConnections: number;
    requests: number;
    failures: number;
    retries: number;
    latency: Times;
}

export interface HealthView {
    status: string;
    state: string;
    version: string;
    uptime: number;
    configVersion: number;
}

export interface Problem {
    severity: "critical" | "warning";
    subject: "certificate" | "config" | "node" | "pool" | "recovery" | "server" | "traffic" | "webhook";
    what: string;
    why: string;
    pool?: string;
    serverId?: string;
}

export interface Problems {
    summary: string;
    problems: Problem[];
}

export interface HistoryEntry {
    at: string;
    what: "probe_ok" | "probe_failed" | "changed";
    from?: Verdict;
    to?: Verdict;
    latency?: number;
    status?: number;
    cause?: string;
    reason?: string;
}

export interface ServerHealth {
    status: Verdict;
    reason: string;
    since: string;
    probe: string;
    nextProbeIn: number;
    uptime: { "1h": number | null; "24h": number | null; sinceStart: number | null };
    timeline: { step: number; shares: (number | null)[] };
    trend: { recent: { p50: number; p95: number }; before: { p50: number; p95: number } | null } | null;
    history: HistoryEntry[];
    explanation?: { summary: string; wouldChange: string[] } | null;
}

export interface EventView {
    id: number;
    timestamp: string;
    event: string;
    pool?: string | null;
    server?: { id: string; address: string } | null;
    reason?: string | null;
    node?: string;
    details?: Record<string, unknown> | null;
}

export interface Delivery {
    id: string;
    event: string;
    createdAt: string;
    state: "pending" | "delivered" | "failed";
    attempts: number;
    lastAttemptAt: string | null;
    status: number | null;
    latencyMs: number | null;
    lastError: string | null;
    size: number;
}

export interface Webhook {
    name: string;
    target: string;
    format: string;
    signed: boolean;
    state: "ok" | "retrying" | "failing" | "open";
    waiting: number;
    delivered: number;
    failed: number;
    dropped: number;
    lastError: string | null;
    nextAttemptAt: string | null;
    deliveries: Delivery[];
}

export interface RecoveryTotals {
    attempts: number;
    successes: number;
    failures: number;
    successRate: number | null;
    meanTimeToRecover: number | null;
}

export interface ServerRecovery extends RecoveryTotals {
    server: string;
    action: string;
    state: string;
    until: string | null;
    attemptsInARow: number;
    lastAttempts: {
        attempt: number;
        startedAt: string;
        cause: string;
        reason: string;
        outcome: string;
        problem: string | null;
        took: number | null;
        output: string;
    }[];
}

export interface PoolRecovery extends RecoveryTotals {
    pool: string;
    held: { since: string; reason: string } | null;
    servers: ServerRecovery[];
}

export interface Versions {
    current: number;
    versions: { version: number; origin: string; at: string; changes: string[] }[];
    confirmUntil: string | null;
    unsaved: string | null;
    refused: { origin: string; at: string; reason: string; issues: Issue[] } | null;
}

export interface ChangeDone {
    version: number;
    applied: boolean;
    changes: string[];
    touched: string[];
    saved: boolean;
    notSavedBecause?: string;
    warnings: Issue[];
    needsRestart: string[];
    confirmUntil?: string;
}
