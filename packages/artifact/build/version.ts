/** What a version is called when nobody named it. */
import { versionName } from '@fleet/protocol/words.ts';

/** The version that a commit's tags give: `v1.4.2` is 1.4.2. The tag that was asked for goes first, then the highest. */
export function versionOfTags(tags: readonly string[], asked: string): string | undefined {
  const versions = tags.map(versionOfTag).filter((version) => version !== undefined);
  const named = tags.includes(asked.replace(/^refs\/tags\//, ''))
    ? versionOfTag(asked.replace(/^refs\/tags\//, ''))
    : undefined;
  return named ?? versions.sort(compareVersions).at(-1);
}

/** Only what begins like a number: `latest` and `production` move, a version must not. */
function versionOfTag(tag: string): string | undefined {
  const version = tag.replace(/^v(?=\d)/, '');
  return /^\d/.test(version) && versionName.safeParse(version).success ? version : undefined;
}

/** Numbers by their value, and a pre-release before what it precedes: 1.9 < 1.10-rc.1 < 1.10. */
function compareVersions(one: string, other: string): number {
  const [a, b] = [one, other].map((version) => {
    const [core = '', ...pre] = version.split('+')[0]!.split('-');
    return { core, pre: pre.join('-') };
  }) as [{ core: string; pre: string }, { core: string; pre: string }];
  const natural = new Intl.Collator('en', { numeric: true });
  const byCore = natural.compare(a.core, b.core);
  if (byCore !== 0) return byCore;
  if ((a.pre === '') !== (b.pre === '')) return a.pre === '' ? 1 : -1;
  return natural.compare(a.pre, b.pre);
}

/** `20261121T0930-4f2a9c1`, in UTC: sorts by time and says what it is. */
export function versionOfTime(at: Date, id: string): string {
  const [date, time] = at.toISOString().split('T') as [string, string];
  return `${date.replaceAll('-', '')}T${time.slice(0, 5).replace(':', '')}-${id.slice(0, 7)}`;
}
