// Numbers and times as people read them. Nothing in here asks or draws.

const NONE = "–";

/** 0.42, 8.1, 512, 12.3 k */
export function count(value: number | null | undefined): string {
    if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
    const size = Math.abs(value);
    if (size >= 1e9) return `${digits(value / 1e9)} G`;
    if (size >= 1e6) return `${digits(value / 1e6)} M`;
    if (size >= 1e4) return `${digits(value / 1e3)} k`;
    return digits(value);
}

function digits(value: number): string {
    const size = Math.abs(value);
    if (size >= 100 || Number.isInteger(value)) return String(Math.round(value));
    return value.toFixed(size >= 10 ? 1 : size >= 1 ? 1 : 2);
}

/** Milliseconds: 0.42 ms, 18 ms, 1.2 s */
export function millis(value: number | null | undefined): string {
    if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
    if (value >= 10_000) return `${(value / 1000).toFixed(0)} s`;
    if (value >= 1000) return `${(value / 1000).toFixed(1)} s`;
    return `${digits(value)} ms`;
}

/** A share of 0 to 1. Nothing but all is 100 %, nothing but none is 0 %. */
export function percent(share: number | null | undefined): string {
    if (share === null || share === undefined || !Number.isFinite(share)) return NONE;
    const value = share * 100;
    if (value === 0 || value === 100) return `${value} %`;
    if (value < 0.01) return "< 0.01 %";
    if (value < 1) return `${value.toFixed(2)} %`;
    if (value > 99.9) return `${Math.min(99.99, value).toFixed(2)} %`;
    return `${value.toFixed(1)} %`;
}

/** Seconds: 12 s, 4 min, 3 h 20 min, 12 d */
export function span(seconds: number): string {
    const all = Math.max(0, Math.round(seconds));
    if (all < 60) return `${all} s`;
    if (all < 3600) return `${Math.floor(all / 60)} min`;
    if (all < 86_400) {
        const minutes = Math.floor((all % 3600) / 60);
        return `${Math.floor(all / 3600)} h${minutes > 0 ? ` ${minutes} min` : ""}`;
    }
    return `${Math.floor(all / 86_400)} d`;
}

export function ago(at: string | number, now: number): string {
    const seconds = (now - (typeof at === "number" ? at : Date.parse(at))) / 1000;
    return seconds < 2 ? "just now" : `${span(seconds)} ago`;
}

/** The time of day, with the date where it is not today's. */
export function clock(at: string | number, now = Date.now()): string {
    const time = new Date(at);
    const two = (value: number) => String(value).padStart(2, "0");
    const hours = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
    const same = time.toDateString() === new Date(now).toDateString();
    return same ? hours : `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())} ${hours}`;
}

/** `1 server`, `3 servers` */
export function several(number: number, word: string): string {
    return `${number} ${word}${number === 1 ? "" : "s"}`;
}

/** `server_down` as people say it. */
export function spoken(name: string): string {
    const words = name.replaceAll("_", " ");
    return words.charAt(0).toUpperCase() + words.slice(1);
}
