/** What systemd says of the agent's unit and of those of the services. */
import { existsSync } from 'node:fs';
import { bad, type Finding, ok, warn } from '@fleet/protocol/finding.ts';
import { AGENT_UNIT } from '@fleet/units/places.ts';
import { ask } from './ask.ts';

const PROPERTIES = ['Id', 'LoadState', 'UnitFileState', 'ActiveState', 'SubState', 'NRestarts', 'Result'];
/** Where the controller runs on the same machine, or rehearsals are begun. */
const OTHERS = [AGENT_UNIT, 'fleet-controller.service'];
type Unit = Record<string, string>;

export async function lookAtUnits(): Promise<Finding[]> {
  if (!existsSync('/run/systemd/system'))
    return [
      warn(
        'units',
        'no systemd runs here: nothing starts the agent at boot, or again when it ends',
        'have whatever starts this machine start the agent, and look after it',
      ),
    ];
  const shown = await ask([
    ...['systemctl', 'show', `--property=${PROPERTIES.join(',')}`],
    ...[AGENT_UNIT, ...(await serviceUnits())],
  ]);
  if (shown === undefined)
    return [bad('units', 'systemctl does not answer', 'systemctl status, as root, on this host')];
  return shown.split('\n\n').map(unitOf).map(judge);
}

/** Units that fleet has put here for services. */
export async function serviceUnits(): Promise<string[]> {
  const listed = await ask(['systemctl', 'list-unit-files', '--no-legend', '--plain', 'fleet-*.service']);
  const names = (listed ?? '').split('\n').flatMap((line) => line.split(/\s+/).slice(0, 1));
  return names.filter((name) => name !== '' && !OTHERS.includes(name) && !name.startsWith('fleet-rehearse-'));
}

function unitOf(block: string): Unit {
  return Object.fromEntries(
    block
      .split('\n')
      .filter((line) => line.includes('='))
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
}

function judge(unit: Unit): Finding {
  const { Id: id = '', LoadState, UnitFileState, ActiveState, SubState, Result } = unit;
  const about = `unit ${id.replace(/\.service$/, '')}`;
  const restarts = Number(unit.NRestarts ?? 0);
  const says = `${UnitFileState || 'not installed'}, ${ActiveState} (${SubState})${restarts > 0 ? `, started again ${restarts} times` : ''}`;
  const log = `journalctl -u ${id} -n 50`;
  if (LoadState === 'not-found')
    return id === AGENT_UNIT
      ? warn(about, 'there is none: nothing starts the agent at boot', 'fleet hosts add again puts it there')
      : bad(about, 'there is none', 'fleet hosts add again puts it there');
  if (LoadState !== 'loaded')
    return bad(about, `systemd cannot read it (${LoadState})`, `systemd-analyze verify ${id}`);
  if (ActiveState === 'failed') return bad(about, `${says}: ${Result}`, log);
  if (ActiveState === 'activating' && SubState === 'auto-restart')
    return bad(about, `${says}: it ends again and again`, log);
  if (id !== AGENT_UNIT) return ok(about, says);
  if (UnitFileState !== 'enabled')
    return bad(about, `${says}: the agent does not come back after a reboot`, `systemctl enable ${id}`);
  return ActiveState === 'active' ? ok(about, says) : bad(about, says, `systemctl start ${id}; ${log}`);
}
