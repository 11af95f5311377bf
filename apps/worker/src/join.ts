/** Joins a Node worker to a run, and logs what happens for the person who started it. */
import { Membership, type MembershipEnd, type MembershipOptions } from '@lockstep/training';

export interface JoinOptions extends Omit<MembershipOptions, 'identity' | 'random' | 'onEvent'> {
  /** What computes and why, such as `computing on cpu`. */
  readonly choice: string;
  readonly name: string;
  readonly token: string | undefined;
  /** Aborted when the worker must leave. */
  readonly signal: AbortSignal;
  readonly log: (message: string) => void;
}

/** Resolves when the run is over, when this worker is refused for good, or when it cannot connect at first. */
export async function join(options: JoinOptions): Promise<MembershipEnd> {
  const { name, token, signal, log, choice, ...rest } = options;
  let hasJoined = false;
  const membership = new Membership({
    ...rest,
    identity: { kind: 'node', name, token },
    random: Math.random,
    onEvent(event) {
      if (event.type === 'welcomed') {
        log(hasJoined ? `back as ${event.id}` : `joined as ${event.id}, ${choice}`);
        hasJoined = true;
      } else if (event.type === 'lost') {
        log(`${event.message}; trying again`);
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
