/** Backups that somebody asked for. They are known as long as the controller lives: what outlives it is the folder. */
import type { Reply } from '@fleet/protocol/api/routes.ts';
import { asFleetError, FleetError } from '@fleet/protocol/errors.ts';
import type { FileList } from './format.ts';
import { type Source, takeBackup } from './take.ts';

type State = Reply<'backups.show'>;

export class Backups {
  readonly #source: Source;
  readonly #states: State[] = [];
  #last: Promise<void> = Promise.resolve();

  constructor(source: Source) {
    this.#source = source;
  }

  /** Begins a backup, after those that were asked for before, and gives its number. */
  start(directory: string): number {
    const state: State = {
      backup: this.#states.length + 1,
      directory,
      state: 'running',
      made: null,
      error: null,
    };
    this.#states.push(state);
    this.#last = this.#last.then(async () => {
      try {
        state.made = madeOf(await takeBackup(directory, this.#source));
        state.state = 'succeeded';
      } catch (error) {
        state.error = asFleetError(error).toJSON();
        state.state = 'failed';
      }
    });
    return state.backup;
  }

  show(id: number): State {
    const state = this.#states[id - 1];
    if (state === undefined)
      throw new FleetError('bad_request', `this controller has made no backup ${id} since it was started`, {
        next: 'a folder that has a backup.json is a whole backup',
      });
    return state;
  }

  async idle(): Promise<void> {
    await this.#last;
  }
}

function madeOf({ takenAt, files, missing }: FileList): State['made'] {
  const paths = Object.keys(files);
  return {
    takenAt,
    versions: paths.filter((path) => path.endsWith('.manifest.json')).length,
    bytes: Object.values(files).reduce((sum, { size }) => sum + size, 0),
    missing,
  };
}
