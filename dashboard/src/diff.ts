// Two texts compared line by line. Nothing in here asks or draws.

export interface Piece {
    kind: "same" | "gone" | "new" | "gap";
    text: string;
}

/** Lines shown around what differs. */
const AROUND = 2;
/** Lines of the middle up to which the fewest differences are looked for; beyond, all of it is another text. */
const LONGEST = 1500;

export function compared(before: string, after: string): Piece[] {
    const [one, other] = [before.split("\n"), after.split("\n")];
    let head = 0;
    while (head < one.length && head < other.length && one[head] === other[head]) head += 1;
    let tail = 0;
    while (tail < one.length - head && tail < other.length - head && one.at(-1 - tail) === other.at(-1 - tail)) tail += 1;
    const same = (lines: string[]): Piece[] => lines.map((text) => ({ kind: "same", text }));
    const middle = differences(one.slice(head, one.length - tail), other.slice(head, other.length - tail));
    return shortened([...same(one.slice(0, head)), ...middle, ...same(one.slice(one.length - tail))]);
}

/** By the longest common subsequence. */
function differences(one: string[], other: string[]): Piece[] {
    const gone = (text: string): Piece => ({ kind: "gone", text });
    const fresh = (text: string): Piece => ({ kind: "new", text });
    if (one.length > LONGEST || other.length > LONGEST) return [...one.map(gone), ...other.map(fresh)];
    const width = other.length + 1;
    const longest = new Uint16Array((one.length + 1) * width);
    for (let row = one.length - 1; row >= 0; row--) {
        for (let column = other.length - 1; column >= 0; column--) {
            const at = row * width + column;
            longest[at] = one[row] === other[column] ? (longest[at + width + 1] ?? 0) + 1 : Math.max(longest[at + width] ?? 0, longest[at + 1] ?? 0);
        }
    }
    const pieces: Piece[] = [];
    let [row, column] = [0, 0];
    while (row < one.length || column < other.length) {
        const at = row * width + column;
        if (row < one.length && column < other.length && one[row] === other[column]) {
            pieces.push({ kind: "same", text: one[row]! });
            row += 1;
            column += 1;
        } else if (row < one.length && (column === other.length || (longest[at + width] ?? 0) >= (longest[at + 1] ?? 0))) {
            pieces.push(gone(one[row]!));
            row += 1;
        } else {
            pieces.push(fresh(other[column]!));
            column += 1;
        }
    }
    return pieces;
}

function shortened(pieces: Piece[]): Piece[] {
    const near = pieces.map((_, place) => pieces.slice(Math.max(0, place - AROUND), place + AROUND + 1).some((piece) => piece.kind !== "same"));
    return pieces.flatMap((piece, place): Piece[] => {
        if (near[place]) return [piece];
        return place > 0 && near[place - 1] === false ? [] : [{ kind: "gap", text: "" }];
    });
}
