/** Keeps a worker in a run: connects, takes part, and comes back when the connection breaks. */
import type { Checksum, WorkerTransport } from '@lockstep/protocol';
import { type Clock, type Compute, reconnectDelayMs, type SessionEnd, startSession } from '@lockstep/training';

export interface JoinOptions {
  readonly compute: Compute;
  readonly clock: Clock;
  readonly name: string;
  readonly token: string | undefined;
  readonly checksum: Checksum;
  readonly hash: (bytes: Uint8Array) => string;
  /** @throws Error with one sentence. */
  readonly connect: () => Promise<WorkerTransport>;
  /** Aborted when the worker is to leave. */
  readonly signal: AbortSignal;
  readonly say: (sentence: string) => void;
}

export type JoinEnd =
  | Exclude<SessionEnd, { type: 'lost' }>
  | { readonly type: 'unreachable'; readonly sentence: string };

/** Resolves when the run is over, when this worker is refused for good, or when its first attempt reaches nobody. */
export async function join(options: JoinOptions): Promise<JoinEnd> {
  const { clock, say, signal } = options;
  let resumeKey: string | undefined;
  let failures = 0;
  for (;;) {
    let transport: WorkerTransport | undefined;
    try {
      transport = await options.connect();
    } catch (error) {
      const sentence = error instanceof Error ? error.message : String(error);
      if (resumeKey === undefined) return { type: 'unreachable', sentence };
    }
    if (transport) {
      const end = await takePart(options, transport, resumeKey, (welcome) => {
        resumeKey = welcome.resumeKey;
        failures = 0;
      });
      const mayRetry = end.type === 'lost' || (end.type === 'refused' && end.retryAfterMs !== undefined);
      if (!mayRetry) return end;
      say(`${end.sentence}; trying again`);
      if (end.type === 'refused') await pause(clock, end.retryAfterMs ?? 0, signal);
    }
    if (signal.aborted) return { type: 'finished', sentence: 'left' };
    await pause(clock, reconnectDelayMs(failures++, Math.random()), signal);
    if (signal.aborted) return { type: 'finished', sentence: 'left' };
  }
}

async function takePart(
  options: JoinOptions,
  transport: WorkerTransport,
  resumeKey: string | undefined,
  onWelcome: (welcome: { readonly resumeKey: string }) => void,
): Promise<SessionEnd> {
  const { compute, clock, name, token, checksum, hash, signal, say } = options;
  const session = startSession({
    transport,
    compute,
    clock,
    checksum,
    hash,
    identity: { kind: 'node', name, token, resumeKey },
    notify: (notice) => {
      if (notice.type !== 'welcomed') return;
      say(`${resumeKey === undefined ? 'joined' : 'back'} as ${notice.id}, computing on ${compute.backend}`);
      onWelcome(notice);
    },
  });
  const leave = (): void => session.leave(`${name} leaves`);
  signal.addEventListener('abort', leave);
  if (signal.aborted) leave();
  const end = await session.ended;
  signal.removeEventListener('abort', leave);
  return end;
}

/** Waits, or less if the worker is to leave. */
async function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    const end = (): void => {
      cancel();
      signal.removeEventListener('abort', end);
      resolve();
    };
    const cancel = clock.after(delayMs, end);
    signal.addEventListener('abort', end);
  });
}
