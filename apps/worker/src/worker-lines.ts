/** The events of a worker, as lines for the person who started it. */
import type { WorkerEvent } from '@lockstep/worker';
import { Progress } from './progress.ts';

const goneCoordinator = 'the run is over or its coordinator is down; waiting for it to come back';

export class WorkerLines {
  readonly #progress: Progress;
  /** The backend in use, such as `computing on cpu`. */
  #choice: string;
  #hasJoined = false;
  #isUnreached = false;
  #lostMessage: string | undefined;

  /** @param progressEveryMs interval between lines about the work done */
  constructor(choice: string, nowMs: number, progressEveryMs: number) {
    this.#choice = choice;
    this.#progress = new Progress(nowMs, progressEveryMs);
  }

  of(event: WorkerEvent, nowMs: number): string[] {
    switch (event.type) {
      case 'opening':
        return [`opening ${event.backend}, which can take a minute`];
      case 'opened':
        this.#choice = event.reasons.at(-1) ?? '';
        return event.reasons.slice(0, -1);
      case 'joined':
        this.#hasJoined = true;
        this.#isUnreached = false;
        this.#lostMessage = undefined;
        return [event.returned ? `back as ${event.id}` : `joined as ${event.id}, ${this.#choice}`];
      case 'ready':
        return [];
      case 'lost': {
        // Printed once: the worker asks every few seconds for a run that does not exist yet.
        const isKnown = this.#lostMessage === event.message;
        this.#lostMessage = event.message;
        return isKnown ? [] : [`${event.message}; trying again`];
      }
      case 'unreached': {
        // Printed once: later attempts fail in the same way.
        const isKnown = this.#isUnreached;
        this.#isUnreached = true;
        const what = this.#hasJoined ? goneCoordinator : 'waiting for it';
        return isKnown ? [] : [`${event.message}; ${what}; Ctrl-C ends this`];
      }
      case 'computed': {
        const line = this.#progress.line(event, nowMs);
        return line === undefined ? [] : [line];
      }
      default:
        return event satisfies never;
    }
  }
}
