/** The events of a worker, as lines for the person who started it. */
import { plural, thousands } from '@lockstep/command';
import type { WorkerEvent } from '@lockstep/worker';

const goneCoordinator = 'the run is over or the coordinator is down; waiting for the coordinator to return';

export class WorkerLines {
  readonly #progressEveryMs: number;
  /** Begins when the worker first joins: until then it cannot compute. */
  #progress: WorkProgress | undefined;
  /** The backend in use, such as `computing on cpu`. */
  #choice = '';
  #hasJoined = false;
  #isUnreached = false;
  #lostMessage: string | undefined;

  /** @param progressEveryMs interval between lines about the work done */
  constructor(progressEveryMs: number) {
    this.#progressEveryMs = progressEveryMs;
  }

  of(event: WorkerEvent, nowMs: number): string[] {
    switch (event.type) {
      case 'opening':
        return [`opening ${event.backend}, which can take a minute`];
      case 'opened':
        this.#choice = event.reasons.at(-1) ?? '';
        return event.reasons.slice(0, -1);
      case 'joined':
        this.#progress ??= new WorkProgress(nowMs, this.#progressEveryMs);
        this.#hasJoined = true;
        this.#isUnreached = false;
        this.#lostMessage = undefined;
        return [event.returned ? `rejoined as ${event.id}` : `joined as ${event.id}, ${this.#choice}`];
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
        return isKnown ? [] : [`${event.message}; ${what} (Ctrl-C to stop)`];
      }
      case 'computed': {
        const line = this.#progress?.line(event, nowMs);
        return line === undefined ? [] : [line];
      }
      default:
        return event satisfies never;
    }
  }
}

type Totals = Omit<Extract<WorkerEvent, { type: 'computed' }>, 'type'>;

/** A worker's progress, as an occasional line. */
export class WorkProgress {
  readonly #everyMs: number;
  #sinceMs: number;
  #before = { shards: 0, samples: 0, computeMs: 0 };

  constructor(nowMs: number, everyMs: number) {
    this.#sinceMs = nowMs;
    this.#everyMs = everyMs;
  }

  /** The line about the work since the last line, or undefined if that was too recent. */
  line({ step, shards, samples, computeMs }: Totals, nowMs: number): string | undefined {
    const elapsedMs = nowMs - this.#sinceMs;
    if (elapsedMs < this.#everyMs) return undefined;
    const { shards: shardsBefore, samples: samplesBefore, computeMs: computeMsBefore } = this.#before;
    const busy = Math.round((100 * (computeMs - computeMsBefore)) / elapsedMs);
    const counted = `${plural(shards - shardsBefore, 'shard')} with ${thousands(samples - samplesBefore)} samples`;
    this.#sinceMs = nowMs;
    this.#before = { shards, samples, computeMs };
    const seconds = Math.round(elapsedMs / 1000);
    return `step ${step}: ${counted} in ${seconds} s, computing ${busy} % of the time`;
  }
}
