/** Batches: `1` is serial; `1,5,20%` begins with one host, then five, then a fifth of all at a time. */

/** Sizes of the batches that `count` hosts make. A percentage is of all hosts, at least one. */
export function batchSizes(spec: readonly string[], count: number): number[] {
  const sizes: number[] = [];
  let left = count;
  for (let position = 0; left > 0; position++) {
    const size = Math.min(left, sizeOf(spec[Math.min(position, spec.length - 1)] ?? '1', count));
    sizes.push(size);
    left -= size;
  }
  return sizes;
}

function sizeOf(text: string, count: number): number {
  const number = Number.parseInt(text, 10);
  return Math.max(1, text.endsWith('%') ? Math.floor((count * number) / 100) : number);
}

export function inBatches<T>(items: readonly T[], spec: readonly string[]): T[][] {
  let from = 0;
  return batchSizes(spec, items.length).map((size) => {
    from += size;
    return items.slice(from - size, from);
  });
}
