/** Keeps a worker in a run: connects, takes part, and comes back when the connection breaks. */
import type { WorkerTransport } from '@lockstep/protocol';
import type { Clock } from '../clock.ts';
import { reconnectDelayMs } from './reconnect.ts';
import { type Session, type SessionEnd, type SessionEvent, type SessionOptions, startSession } from './session.ts';

export interface KeepJoinedOptions extends Omit<SessionOptions, 'transport' | 'notify'> {
  readonly clock: Clock;
  /** From 0 to 1; spreads the moments at which a room of workers comes back. */
  readonly random: () => number;
  /** @throws Error with one sentence. */
  readonly connect: () => Promise<WorkerTransport>;
  readonly onEvent?: (event: MembershipEvent) => void;
}

/** Five times MNIST; less than what a tab of a phone is killed for. */
const usualKeepBytes = 256 * 1024 * 1024;

export type MembershipEvent =
  | SessionEvent
  /** The connection broke, or there was no room; the next attempt follows by itself. */
  | { readonly type: 'lost'; readonly message: string }
  /** That attempt reached nobody; another follows. */
  | { readonly type: 'unreached'; readonly message: string };

export type MembershipEnd =
  | Exclude<SessionEnd, { type: 'lost' }>
  /** The first attempt reached nobody. */
  | { readonly type: 'unreachable'; readonly message: string };

export interface Membership {
  /** Resolves when the run is over, when this worker is refused for good, leaves, or reaches nobody at first. */
  readonly ended: Promise<MembershipEnd>;
  leave(message: string): void;
  /** Tells the coordinator, now and after every return, whether somebody sees this worker. */
  setHidden(hidden: boolean): void;
}

export function keepJoined(options: KeepJoinedOptions): Membership {
  const { clock, connect, identity, onEvent, random, ...rest } = options;
  let resumeKey = identity.resumeKey;
  let hasJoined = resumeKey !== undefined;
  let failures = 0;
  let hidden = false;
  let session: Session | undefined;
  let left: string | undefined;
  let wake = (): void => {};

  const pause = (delayMs: number): Promise<void> =>
    new Promise((resolve) => {
      const cancel = clock.after(delayMs, resolve);
      wake = () => {
        cancel();
        resolve();
      };
      if (left !== undefined) wake();
    });

  const takePart = async (transport: WorkerTransport): Promise<SessionEnd> => {
    session = startSession({
      keepBytes: usualKeepBytes,
      ...rest,
      transport,
      clock,
      identity: { ...identity, resumeKey },
      onEvent(event) {
        if (event.type === 'welcomed') {
          resumeKey = event.resumeKey;
          hasJoined = true;
          failures = 0;
          if (hidden) session?.setHidden(true);
        }
        onEvent?.(event);
      },
    });
    if (left !== undefined) session.leave(left);
    const end = await session.ended;
    session = undefined;
    return end;
  };

  const stay = async (): Promise<MembershipEnd> => {
    while (left === undefined) {
      let transport: WorkerTransport | undefined;
      try {
        transport = await connect();
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        if (!hasJoined) return { type: 'unreachable', message };
        onEvent?.({ type: 'unreached', message });
      }
      if (transport) {
        const end = await takePart(transport);
        const retryAfterMs = end.type === 'refused' ? end.retryAfterMs : 0;
        if (end.type !== 'lost' && (end.type !== 'refused' || retryAfterMs === undefined)) return end;
        onEvent?.({ type: 'lost', message: end.message });
        if (retryAfterMs) await pause(retryAfterMs);
      }
      await pause(reconnectDelayMs(failures++, random()));
    }
    return { type: 'finished', message: 'left' };
  };

  return {
    ended: stay(),
    leave(message) {
      left ??= message;
      session?.leave(message);
      wake();
    },
    setHidden(value) {
      hidden = value;
      session?.setHidden(value);
    },
  };
}
