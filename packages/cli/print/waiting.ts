/** What a deployment waits for when a hook that may not run twice was interrupted, and what a person can do about it. */

export const waysOn = (id: number | null) => `fleet retry ${id}, fleet skip ${id} or fleet abort ${id}`;

export function waitingLines(id: number | null, host: string, hook: string): string[] {
  return [
    `look on ${host} how far ${hook} came, and decide; until then no other host is begun`,
    `  fleet retry ${id}   runs ${hook} again`,
    `  fleet skip ${id}    counts it as done, and goes on`,
    `  fleet abort ${id}   gives up, as after any failure`,
  ];
}
