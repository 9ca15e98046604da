/** From what is there and what should be to what is done: a pure function. Where nothing differs, there is no act. */
import type { IdentityRow } from '@fleet/protocol/api/enrolment.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { AGENT_UNIT, AGENT_USER, PLACES } from '@fleet/units/places.ts';
import {
  type Act,
  addToGroups,
  enableUnit,
  installPackages,
  joinFleet,
  makeDirectory,
  makeUser,
  type NewFile,
  type Place,
  putProgram,
  reloadSupervisord,
  reloadUnits,
  runHook,
  runStep,
  setRights,
  startAgent,
  switchTo,
  waitConnected,
  writeFile,
} from './acts.ts';
import type { Inventory, JoinedHost, Rights } from './inventory.ts';
import type { ProgramFiles } from './programs.ts';
import { ROOT, SUPERVISORD, type Wanted } from './wanted.ts';

export interface Plan {
  acts: Act[];
  /** How many things are as they should be already. */
  held: number;
  /** What is worth knowing, and is left as it is. */
  notes: string[];
}

/** What the controller knows of the host. */
export interface Known {
  /** Name of the fleet's authority's key. */
  ca: string;
  /** Who has joined under the host's name, and is not ended. */
  identity: IdentityRow | undefined;
  connected: boolean;
}

/** A shell with which somebody could log in. */
const NO_SHELL = /\/(nologin|false)$/;

/** Throws `other_fleet`, `name_in_use`, `unfit_host`: before anything is done. */
export function plan(there: Inventory, wanted: Wanted, known: Known): Plan {
  const { host, profile, programs } = wanted;
  const notes: string[] = [];
  const acts: Act[] = [];
  let held = 0;
  const want = (holds: boolean, act: () => Act): boolean => {
    if (holds) held += 1;
    else acts.push(act());
    return !holds;
  };
  const join = howToJoin(host, there.joined, known);
  refuseOtherUser(host, there);

  for (const hook of profile.hooks) if (hook.when === 'before') acts.push(runHook(hook));

  const missing = packagesMissing(there, wanted);
  want(missing.length === 0, () => installPackages(missing));
  for (const place of wanted.before)
    want(same(there.directories.get(place.path), place), () => makeDirectory(place));
  for (const user of wanted.users) want(there.users.has(user.name), () => makeUser(user));
  let regrouped = false;
  for (const [user, groups] of wanted.groups) {
    const lacking = groups.filter((group) => !there.users.get(user)?.groups.includes(group));
    const changes = want(lacking.length === 0, () => addToGroups(user, lacking));
    regrouped ||= changes && user === AGENT_USER;
  }
  for (const place of wanted.after)
    want(same(there.directories.get(place.path), place), () => makeDirectory(place));
  const file = (each: NewFile): boolean => {
    const found = there.files.get(each.path);
    if (found?.sha256 === each.sha256) return want(same(found, each), () => setRights(each));
    return want(false, () => writeFile(each, found !== undefined));
  };
  for (const each of wanted.files) file(each);
  for (const step of profile.steps) acts.push(runStep(step));

  const changed = wanted.own.filter(file).map(({ path }) => path);
  for (const each of [programs.node, programs.agent]) program(each);
  if (join === 'joined') held += 1;
  else acts.push(joinFleet(host, ROOT, PLACES.config, join === 'again'));

  const units = changed.some((path) => path.startsWith(PLACES.units));
  if (units || there.reload) acts.push(reloadUnits());
  if (changed.some((path) => path.startsWith(SUPERVISORD))) acts.push(reloadSupervisord());
  for (const unit of [AGENT_UNIT, ...wanted.units])
    want(there.units.get(unit)?.enabled ?? false, () => enableUnit(unit));
  const runs = there.units.get(AGENT_UNIT)?.active ?? false;
  const ofAgent = changed.some((path) => path === PLACES.config || path.endsWith(`/${AGENT_UNIT}`));
  const anew =
    there.stale || ofAgent || regrouped || join !== 'joined' || acts.some(({ kind }) => kind === 'program');
  want(runs && !anew, () => startAgent(runs ? 'restart' : 'start', AGENT_UNIT));
  want(runs && !anew && known.connected, () => waitConnected(host));
  for (const hook of profile.hooks) if (hook.when === 'after') acts.push(runHook(hook));
  return { acts, held, notes };

  /** One that runs is left to `fleet agents upgrade`, whichever it is: deployments may be at work. Unless this host takes none. */
  function program(files: ProgramFiles): void {
    const { service, version } = files;
    const found = there.programs.get(service);
    const other = found?.current !== undefined && found.current !== version;
    if (found !== undefined && other && found.runs && profile.policy.upgrades) {
      held += 2;
      notes.push(`has ${service} ${found.current}; fleet agents upgrade brings it to ${version}`);
      return;
    }
    const put = want(found?.whole.has(version) ?? false, () => putProgram(files, ROOT));
    want(found?.current === version && !put, () => switchTo(files, ROOT));
  }
}

/** Throws `other_fleet`, `name_in_use`. */
function howToJoin(
  host: string,
  joined: JoinedHost | undefined,
  { ca, identity }: Known,
): 'joined' | 'first' | 'again' {
  const data = { host };
  if (joined !== undefined && joined.ca !== ca)
    throw new FleetError(
      'other_fleet',
      `${host} has joined another fleet, that of ${joined.url}, as ${joined.host}`,
      {
        next: `take it out of that one first: there, fleet hosts remove ${joined.host}, then fleet hosts clean`,
        data,
      },
    );
  if (joined !== undefined && joined.host !== host)
    throw new FleetError('other_fleet', `${host} has joined this fleet already, as ${joined.host}`, {
      next: `add it as ${joined.host}; or, for another name: fleet hosts remove ${joined.host}, then again`,
      data,
    });
  if (identity === undefined) return joined === undefined ? 'first' : 'again';
  if (joined?.key === identity.key) return 'joined';
  throw new FleetError('name_in_use', `another machine than this one has joined as ${host}`, {
    next: `take another name; or, if that one was made anew or is gone for good: fleet hosts remove ${host}, then again`,
    data,
  });
}

function refuseOtherUser(host: string, { users }: Inventory): void {
  const found = users.get(AGENT_USER);
  if (found === undefined || NO_SHELL.test(found.shell)) return;
  throw new FleetError(
    'unfit_host',
    `${host} has a user ${AGENT_USER} already, who can log in (${found.shell}): the agent needs one of its own`,
    { next: `give that one another name on ${host}: usermod --login NAME ${AGENT_USER}`, data: { host } },
  );
}

/** With what Node and the agent need, where an image is so small that it lacks it. */
function packagesMissing(there: Inventory, { packages }: Wanted): string[] {
  const own = [...(there.sudo ? [] : ['sudo']), ...(there.libstdcpp ? [] : ['libstdc++6'])];
  return [...new Set([...packages.filter((name) => !there.packages.has(name)), ...own])];
}

function same(found: Rights | undefined, { mode, owner, group }: Place): boolean {
  return found !== undefined && found.mode === mode && found.owner === owner && found.group === group;
}
