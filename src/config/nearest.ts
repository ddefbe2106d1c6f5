/** Finds the known name that a mistyped one was meant to be. */

const LONGEST = 64;

/** The known name with the fewest typing mistakes, or null where none is near. */
export function nearestName(given: string, known: Iterable<string>): string | null {
  if (given.length > LONGEST) return null;
  const wanted = given.toLowerCase().replaceAll("-", "_");
  let best: string | null = null;
  let fewest = Math.max(2, Math.floor(given.length / 2.5)) + 1;
  for (const name of known) {
    const mistakes = countMistakes(wanted, name.toLowerCase());
    // A name as far from the given one as its own length shares nothing with it.
    if (mistakes < fewest && mistakes < name.length) [best, fewest] = [name, mistakes];
  }
  return best;
}

/** The edit distance in which swapping two neighbours counts once (Damerau's, restricted to one swap a place). */
function countMistakes(left: string, right: string): number {
  let twoAbove: number[] = [];
  let above = Array.from({ length: right.length + 1 }, (_unused, column) => column);
  for (let row = 1; row <= left.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= right.length; column += 1) {
      const same = left[row - 1] === right[column - 1];
      const steps = [at(above, column) + 1, at(current, column - 1) + 1, at(above, column - 1) + (same ? 0 : 1)];
      const swapped =
        row > 1 && column > 1 && left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1];
      if (swapped) steps.push(at(twoAbove, column - 2) + 1);
      current.push(Math.min(...steps));
    }
    [twoAbove, above] = [above, current];
  }
  return at(above, right.length);
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Infinity;
}
