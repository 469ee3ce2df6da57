import type { JSX } from "preact";
import type { ServerView } from "../shapes.ts";
import { spoken } from "../format.ts";
import { Icon } from "./icon.tsx";

/** What operators wish is said before what probes say: a drained server is no trouble. */
export function standing(server: Pick<ServerView, "state" | "status">): { kind: string; word: string } {
    if (server.state === "drain") return { kind: "drain", word: "Drained" };
    if (server.state === "maintenance") return { kind: "maintenance", word: "Maintenance" };
    return { kind: server.status, word: spoken(server.status) };
}

export function State({ server }: { server: Pick<ServerView, "state" | "status"> }): JSX.Element {
    const { kind, word } = standing(server);
    return (
        <span class={`state state-${kind}`}>
            <Icon name={kind} />
            {word}
        </span>
    );
}
