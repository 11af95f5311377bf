/** Keeps a worker in a run: connects, takes part, and reconnects when the connection breaks. */
import { errorMessage } from '@lockstep/data/shown';
import type { WorkerTransport } from '@lockstep/protocol';
import { Session, type SessionEnd, type SessionEvent, type SessionOptions, type WorkerStatus } from './session.ts';

/** Thrown if a coordinator is running but accepts no connection now: a worker retries even its first attempt. */
export class CoordinatorBusyError extends Error {
  override readonly name = 'CoordinatorBusyError';
}

export interface MembershipOptions extends Omit<SessionOptions, 'transport' | 'onEvent'> {
  /** Returns a number from 0 to 1, to spread the reconnections of many workers over time. */
  readonly random: () => number;
  /** Whether to keep trying if the first attempt does not reach a coordinator. */
  readonly waitForCoordinator?: boolean;
  /** Whether to wait for another server if the server ends between two runs; by default the worker ends too. */
  readonly outlivesServer?: boolean;
  /** @throws Error with one sentence; CoordinatorBusyError if another attempt may succeed */
  readonly connect: () => Promise<WorkerTransport>;
  readonly onEvent?: (event: MembershipEvent) => void;
}

/** Most bytes of a frame: larger than the weights of any model that a worker can train. */
export const maxFrameBytes = 512 * 1024 * 1024;

/** Five times MNIST, and less than a browser tab on a phone may use. */
const defaultSampleCacheBytes = 256 * 1024 * 1024;

export type MembershipEvent =
  | SessionEvent
  /**
   * The run is over and another may follow, the connection broke, or the coordinator is full or has no run. Another
   * attempt follows.
   */
  | { readonly type: 'lost'; readonly message: string; readonly isRunOver?: boolean }
  /** An attempt did not reach the coordinator; another follows. */
  | { readonly type: 'unreached'; readonly message: string };

export type MembershipEnd =
  | Exclude<SessionEnd, { type: 'lost' }>
  /** The first attempt did not reach a coordinator; `cause` is the system's error, if there was one. */
  | { readonly type: 'unreachable'; readonly message: string; readonly cause: unknown };

export class Membership {
  /** Resolves when the run is over, or when this worker is refused for good, leaves, or cannot connect at first. */
  readonly ended: Promise<MembershipEnd>;
  readonly #options: MembershipOptions;
  #resumeKey: string | undefined;
  #failures = 0;
  /** How the last run ended, while this worker waits for another run. */
  #lastEnd: string | undefined;
  /** The worker's last reported status; undefined if there is none. */
  #status: WorkerStatus | undefined;
  #session: Session | undefined;
  /** Why this worker leaves; undefined while it stays. */
  #goodbye: string | undefined;
  #wake = (): void => {};

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.#resumeKey = options.identity.resumeKey;
    this.ended = this.#stayJoined();
  }

  leave(message: string): void {
    this.#goodbye ??= message;
    this.#session?.leave(message);
    this.#wake();
  }

  /** Reports a status of this worker now and after every reconnection, such as whether its browser tab is hidden. */
  reportStatus(status: WorkerStatus): void {
    this.#status = status;
    this.#session?.reportStatus(status);
  }

  async #stayJoined(): Promise<MembershipEnd> {
    const { connect, random, onEvent, waitForCoordinator = false, outlivesServer = waitForCoordinator } = this.#options;
    while (this.#goodbye === undefined) {
      let transport: WorkerTransport | undefined;
      try {
        transport = await connect();
      } catch (error) {
        if (this.#goodbye !== undefined) break;
        const message = errorMessage(error);
        // Failing twice after a run has ended means that the server has ended.
        if (this.#lastEnd !== undefined && this.#failures > 1 && !outlivesServer) {
          return { type: 'finished', message: this.#lastEnd };
        }
        // A worker with a resume key has been in the run.
        const hasBeenThere = this.#resumeKey !== undefined || this.#lastEnd !== undefined;
        const isBusy = error instanceof CoordinatorBusyError;
        if (!waitForCoordinator && !hasBeenThere && !isBusy)
          return { type: 'unreachable', message, cause: (error as Error).cause };
        onEvent?.({ type: 'unreached', message });
      }
      if (transport) {
        const end = await this.#takePart(transport);
        const last = lastOf(end);
        if (last) return last;
        if (end.type === 'finished') this.#noteRunEnd(end.message);
        onEvent?.({ type: 'lost', message: end.message, ...(end.type === 'finished' && { isRunOver: true }) });
        const retryAfterMs = end.type === 'refused' ? end.retryAfterMs : 0;
        if (retryAfterMs) await this.#pause(retryAfterMs);
        // The coordinator was reached and just has no run yet.
        if (end.type === 'refused' && end.code === 'waiting') this.#failures = 0;
      }
      await this.#pause(reconnectDelayMs(this.#failures++, random()));
    }
    return { type: 'finished', message: 'left' };
  }

  async #takePart(transport: WorkerTransport): Promise<SessionEnd> {
    const { identity } = this.#options;
    this.#session = new Session({
      sampleCacheBytes: defaultSampleCacheBytes,
      ...this.#options,
      transport,
      identity: { ...identity, resumeKey: this.#resumeKey },
      onEvent: (event) => this.#noteEvent(event),
    });
    if (this.#goodbye !== undefined) this.#session.leave(this.#goodbye);
    const end = await this.#session.ended;
    this.#session = undefined;
    return end;
  }

  /** Forgets the resume key: the next run does not know the workers of the last one. */
  #noteRunEnd(message: string): void {
    this.#resumeKey = undefined;
    this.#lastEnd = message;
    this.#failures = 0;
  }

  #noteEvent(event: SessionEvent): void {
    if (event.type === 'welcomed') {
      this.#resumeKey = event.resumeKey;
      this.#failures = 0;
      this.#lastEnd = undefined;
      if (this.#status) this.#session?.reportStatus(this.#status);
    }
    this.#options.onEvent?.(event);
  }

  /** Waits; ends early if the worker leaves. */
  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(delayMs, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
      if (this.#goodbye !== undefined) this.#wake();
    });
  }
}

/** Returns the end if the worker does not reconnect, otherwise undefined. */
function lastOf(end: SessionEnd): MembershipEnd | undefined {
  switch (end.type) {
    case 'lost':
      return undefined;
    case 'refused':
      return end.retryAfterMs === undefined ? end : undefined;
    case 'finished':
      return end.anotherMayFollow === true ? undefined : end;
    case 'failed':
      return end;
    default:
      return end satisfies never;
  }
}

const firstDelayMs = 500;
const longestDelayMs = 15_000;

/**
 * Returns the milliseconds to wait before the next attempt.
 * They are half a second, doubled with each failure up to 15 s; half of them is random, so that many clients do not
 * return at the same moment.
 * @param failures attempts that have failed so far
 * @param random from 0 to 1
 */
export function reconnectDelayMs(failures: number, random: number): number {
  return Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(failures, 16)) * (0.5 + 0.5 * random);
}
