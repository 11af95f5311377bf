/** Takes part in a run, and says so in events. */
import { Membership, type MembershipEnd, type MembershipEvent, type MembershipOptions } from '@lockstep/training';
import { type JoinEnd, JoinError, type Participation } from './joined-worker.ts';

export type ParticipateOptions = Omit<MembershipOptions, 'random' | 'onEvent'>;

/** How taking part ended. @throws JoinError where the worker was not let in, or could not go on */
export function endOf({ type, message }: MembershipEnd, leaving: AbortSignal): JoinEnd {
  if (type === 'finished') return { type: leaving.aborted ? 'left' : 'finished', message };
  throw new JoinError(type, message);
}

/** @throws JoinError where the worker is not let in, or cannot go on */
export async function participate(options: ParticipateOptions, { emit, leaving }: Participation): Promise<JoinEnd> {
  const membership = new Membership({ ...options, random: Math.random, onEvent: workerEvents(emit) });
  const leave = (): void => membership.leave(`${options.identity.name} leaves`);
  leaving.addEventListener('abort', leave);
  if (leaving.aborted) leave();
  return endOf(await membership.ended, leaving);
}

/** What happens to a membership, as events with totals. */
export function workerEvents(emit: Participation['emit']): (event: MembershipEvent) => void {
  let hasJoined = false;
  let [shards, samples, computeMs] = [0, 0, 0];
  return (event) => {
    switch (event.type) {
      case 'welcomed':
        emit({ type: 'joined', id: event.id, returned: hasJoined });
        hasJoined = true;
        return;
      case 'computed':
        shards += 1;
        samples += event.count;
        computeMs += event.computeMs;
        emit({ type: 'computed', step: event.step + 1, shards, samples, computeMs });
        return;
      case 'ready':
        emit(event);
        return;
      case 'lost':
      case 'unreached':
        emit({ type: event.type, message: event.message });
        return;
      default:
        event satisfies never;
    }
  };
}
