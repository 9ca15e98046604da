/** What a service printed, from wherever its supervisor has it. */
import type { Run } from '@fleet/protocol/service.ts';
import { isOwn } from '@fleet/protocol/words.ts';
import { AGENT_UNIT } from '@fleet/units/places.ts';
import { programLog } from '@fleet/units/program.ts';
import { readJournal } from './journal.ts';
import { type LogPart, type LogRange, readLog, readLogFile } from './log.ts';
import { unitFor } from './systemd.ts';

/** `run`: of the version that was started last, undefined where there is none. A cursor of another supervisor's is as good as none. */
export function readPrinted(
  { service, home, run }: { service: string; home: string; run: Run | undefined },
  range: LogRange,
): Promise<LogPart> {
  if (isOwn(service)) return readJournal(AGENT_UNIT, range);
  switch (run?.supervisor) {
    case 'systemd':
      return readJournal(unitFor({ service, run }), range);
    case 'supervisord':
      return readLogFile(programLog(run.program), range);
    default:
      return readLog(home, range);
  }
}
