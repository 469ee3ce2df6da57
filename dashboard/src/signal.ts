// A value that components follow. Forty lines instead of a library.

import { useEffect, useState } from "preact/hooks";

export interface Signal<T> {
    get(): T;
    set(value: T): void;
    follow(heard: (value: T) => void): () => void;
}

export function signal<T>(first: T): Signal<T> {
    let value = first;
    const followers = new Set<(value: T) => void>();
    return {
        get: () => value,
        set(next) {
            value = next;
            for (const heard of [...followers]) heard(next);
        },
        follow(heard) {
            followers.add(heard);
            return () => followers.delete(heard);
        },
    };
}

/** The value, and the component drawn anew when it is another one. */
export function useSignal<T>(followed: Signal<T>): T {
    const [value, setValue] = useState<T>(() => followed.get());
    useEffect(() => {
        setValue(() => followed.get());
        return followed.follow((next) => setValue(() => next));
    }, [followed]);
    return value;
}
