// Dark or light: what the system says, unless somebody chose.

import { signal } from "./signal.ts";

export type Theme = "system" | "light" | "dark";
const KEY = "loadweaver-theme";
const system = matchMedia("(prefers-color-scheme: dark)");

function stored(): Theme {
    const value = localStorage.getItem(KEY);
    return value === "light" || value === "dark" ? value : "system";
}

export const theme = signal<Theme>(stored());
/** Ticks when colours are others. */
export const colours = signal(0);

function apply(): void {
    const chosen = theme.get();
    document.documentElement.dataset.theme = chosen === "system" ? (system.matches ? "dark" : "light") : chosen;
    colours.set(colours.get() + 1);
}

export function choose(next: Theme): void {
    if (next === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, next);
    theme.set(next);
    apply();
}

system.addEventListener("change", apply);
apply();

/** A colour of the style sheet as it is now. */
export function colour(name: string): string {
    return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
