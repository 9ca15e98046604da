/** A deadline for a host that stands still while a person is asked something. */
import type { Person } from './person.ts';

export class Patience {
  readonly #ms: number;
  readonly #over: () => void;
  #timer: NodeJS.Timeout | undefined;
  /** It was over before the end. */
  ran = false;

  constructor(ms: number, over: () => void) {
    this.#ms = ms;
    this.#over = over;
  }

  begin(): void {
    this.end();
    this.#timer = setTimeout(() => {
      this.ran = true;
      this.#over();
    }, this.#ms);
  }
  end(): void {
    clearTimeout(this.#timer);
  }
  late(): Error {
    return new Error(`nothing came for ${this.#ms / 1000} s`);
  }

  /** The same person, for whom the host waits. */
  with(person: Person): Person {
    const waiting = async <T>(asked: Promise<T>): Promise<T> => {
      this.end();
      return asked.finally(() => this.begin());
    };
    return {
      askText: (question) => waiting(person.askText(question)),
      askSecret: (question) => waiting(person.askSecret(question)),
      tell: (line) => person.tell(line),
    };
  }
}
