/** Joins a Node worker to a run, and logs what happens for the person who started it. */
import { Membership, type MembershipEnd, type MembershipOptions } from '@lockstep/training';
import { Progress } from './progress.ts';

const goneCoordinator = 'the run is over or its coordinator is down; waiting for it to come back';

export interface JoinOptions extends Omit<MembershipOptions, 'identity' | 'random' | 'onEvent'> {
  /** What computes and why, such as `computing on cpu`. */
  readonly choice: string;
  readonly name: string;
  readonly token: string | undefined;
  /** How often a line says what was computed since the last. */
  readonly progressEveryMs: number;
  /** Aborted when the worker must leave. */
  readonly signal: AbortSignal;
  readonly log: (message: string) => void;
}

/** Resolves when the run is over, when this worker is refused for good, or when it cannot connect at first. */
export async function join(options: JoinOptions): Promise<MembershipEnd> {
  const { name, token, signal, log, choice, progressEveryMs, ...rest } = options;
  let hasJoined = false;
  let isUnreached = false;
  const progress = new Progress(options.clock.nowMs(), progressEveryMs);
  const membership = new Membership({
    ...rest,
    identity: { kind: 'node', name, token },
    random: Math.random,
    onEvent(event) {
      if (event.type === 'welcomed') {
        log(hasJoined ? `back as ${event.id}` : `joined as ${event.id}, ${choice}`);
        hasJoined = true;
        isUnreached = false;
      } else if (event.type === 'lost') {
        log(`${event.message}; trying again`);
      } else if (event.type === 'unreached') {
        // Once: the attempts that follow fail alike.
        if (!isUnreached) log(`${event.message}; ${hasJoined ? goneCoordinator : 'waiting for it'}; Ctrl-C ends this`);
        isUnreached = true;
      } else if (event.type === 'computed') {
        const line = progress.add(event, options.clock.nowMs());
        if (line !== undefined) log(line);
      }
    },
  });
  const leave = (): void => membership.leave(`${name} leaves`);
  signal.addEventListener('abort', leave);
  if (signal.aborted) leave();
  const end = await membership.ended;
  signal.removeEventListener('abort', leave);
  return end;
}
