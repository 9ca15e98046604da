/** What somebody may have meant: the known name that the fewest keystrokes turn into the given one, if it is near at all. */
export function nearest(given: string, known: readonly string[]): string | undefined {
  const allowed = given.length <= 3 ? 1 : given.length <= 6 ? 2 : 3;
  let best: string | undefined;
  let least = allowed + 1;
  for (const name of known) {
    const distance = keystrokes(given.toLowerCase(), name.toLowerCase());
    if (distance < least) [best, least] = [name, distance];
  }
  return best;
}

/** `, did you mean X?`, or the list where nothing is near and the list is short enough to read. */
export function hint(given: string, known: readonly string[]): string {
  const name = nearest(given, known);
  if (name !== undefined) return `, did you mean \`${name}\`?`;
  if (known.length === 0) return '';
  return `; there ${known.length === 1 ? 'is' : 'are'} ${known.slice(0, 12).join(', ')}${known.length > 12 ? ', …' : ''}`;
}

/** Edit distance; two letters in the wrong order are one mistake, because that is how people type. */
function keystrokes(from: string, to: string): number {
  const rows: number[][] = [Array.from({ length: to.length + 1 }, (_, index) => index)];
  for (let i = 1; i <= from.length; i++) {
    const row = [i];
    for (let j = 1; j <= to.length; j++) {
      const same = from[i - 1] === to[j - 1] ? 0 : 1;
      let least = Math.min(rows[i - 1]![j]! + 1, row[j - 1]! + 1, rows[i - 1]![j - 1]! + same);
      if (i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1])
        least = Math.min(least, rows[i - 2]![j - 2]! + 1);
      row.push(least);
    }
    rows.push(row);
  }
  return rows[from.length]![to.length]!;
}

/** What a mapping that people wrote has under a name. A service may be called `constructor`. */
export function named<T>(mapping: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(mapping, name) ? mapping[name] : undefined;
}
