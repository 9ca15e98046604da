import t from 'tap';
import { agentUnit } from './agentUnit.ts';

t.test('a path that would mean something else to systemd is refused', async (t) => {
  for (const root of [
    '/srv/my fleet',
    '/srv/%h',
    '/srv/fleet\nUser=root',
    'srv/fleet',
    '/srv/$HOME',
    '/srv/"',
  ])
    t.throws(() => agentUnit({ root }), { code: 'bad_config', message: /^root: / }, JSON.stringify(root));
  t.match(agentUnit({ root: '/opt/fleet' }), /^ExecStart=\/opt\/fleet\/fleet-node\/current\/bin\/node /m);
});

t.test('the agent ends alone, is always started again, and has the sudo that it needs', async (t) => {
  const unit = agentUnit({ root: '/srv/fleet' });
  for (const line of [
    'User=fleet',
    'KillMode=process',
    'Restart=always',
    'Type=notify',
    'TimeoutStartSec=60',
  ])
    t.ok(unit.split('\n').includes(line), line);
  const settings = unit.split('\n').filter((line) => !line.startsWith('#'));
  const ends =
    /^(NoNewPrivileges|Private|Restrict|SystemCall|Lock|MemoryDeny|ProtectKernel|ProtectClock|ProtectHost)/;
  t.same(
    settings.filter((line) => ends.test(line)),
    [],
    'nothing that implies NoNewPrivileges',
  );
});
