/** One worker's side of one connection: it greets, shows its arithmetic, and computes the shards that it is given. */
import {
  type Closing,
  type CoordinatorMessage,
  type MessageOf,
  protocolVersion,
  toMessageText,
  type WorkerKind,
  type WorkerTransport,
} from '@lockstep/protocol';
import type { Clock } from '../clock.ts';
import { type Compute, ComputeError, type ShardGradient } from './compute.ts';
import { createTrouble } from './fault-injection.ts';
import { createPacker } from './gradient-codec.ts';
import { createHeldSamples, type ShardSamples } from './sample-cache.ts';
import { createHeldWeights } from './weight-cache.ts';

export interface WorkerIdentity {
  readonly kind: WorkerKind;
  readonly name: string;
  readonly token?: string | undefined;
  /** From an earlier connection's welcome. */
  readonly resumeKey?: string | undefined;
}

/** How a connection ended. */
export type SessionEnd =
  | { readonly type: 'finished'; readonly message: string }
  | {
      readonly type: 'refused';
      readonly code: MessageOf<'refuse'>['code'];
      readonly message: string;
      readonly retryAfterMs?: number;
    }
  /** This worker cannot compute what the run needs. */
  | { readonly type: 'failed'; readonly message: string }
  | { readonly type: 'lost'; readonly message: string };

export type SessionEvent =
  | { readonly type: 'welcomed'; readonly id: string; readonly resumeKey: string }
  | { readonly type: 'ready' }
  | { readonly type: 'computed'; readonly step: number; readonly count: number; readonly computeMs: number };

export interface SessionOptions {
  readonly transport: WorkerTransport;
  readonly compute: Compute;
  readonly identity: WorkerIdentity;
  readonly clock: Clock;
  /** The checksum that a gradient carries. */
  readonly checksum: (bytes: Uint8Array) => number;
  /** Hash of the numerics check's gradient, in hex. */
  readonly hash: (bytes: Uint8Array) => string;
  /** Bytes of samples that it may keep, so that each travels to it once; none where left out. */
  readonly keepBytes?: number;
  readonly onEvent?: (event: SessionEvent) => void;
}

export interface Session {
  readonly ended: Promise<SessionEnd>;
  /** Says goodbye and ends the connection. */
  leave(message: string): void;
  /** Tells the coordinator whether somebody sees this worker. */
  setHidden(hidden: boolean): void;
}

/** A task, and when it came. */
interface Task extends Pick<MessageOf<'task'>, 'step' | 'lo' | 'n'>, ShardSamples {
  /** Number of its first sample in the epoch's order. */
  readonly first: number;
  readonly atMs: number;
}

/** A coordinator that was silent for so many heartbeats is taken for dead. */
const silentHeartbeats = 8;
/** Before `welcome` says how long a heartbeat is. */
const handshakeMs = 15_000;

export function startSession(options: SessionOptions): Session {
  const { transport, compute, identity, clock, keepBytes = 0, onEvent } = options;
  /** Tasks in the order of their arrival: those of the current step, and those sent ahead. */
  let tasks: Task[] = [];
  let weightsStep = -1;
  let seed = 0;
  // In one process nothing travels.
  const sparse = identity.kind !== 'local';
  let pack = createPacker({ sparse });
  const heldWeights = createHeldWeights();
  let heldSamples = createHeldSamples({ count: 0, keepBytes });
  /** Memory for every gradient of a model. */
  let room: Float32Array | undefined;
  let weightsAtMs = 0;
  let computing = false;
  let end: SessionEnd | undefined;
  let lastMessageAtMs = clock.nowMs();
  let patienceMs = handshakeMs;
  let cancelTimer = (): void => {};
  const trouble = createTrouble<CoordinatorMessage>(clock, (message) => {
    if (!end) onMessage(message);
  });
  /** Serializes what is computed: opening, numerics checks and shards. */
  let work: Promise<void> = Promise.resolve();

  let resolveEnded: (end: SessionEnd) => void;
  const ended = new Promise<SessionEnd>((resolve) => {
    resolveEnded = resolve;
  });

  const stop = (reason: SessionEnd, code: number): void => {
    end ??= reason;
    tasks = [];
    transport.close(code, reason.message);
  };

  const enqueue = (job: () => Promise<void>): void => {
    work = work.then(async () => {
      if (end) return;
      try {
        await job();
      } catch (error) {
        stop({ type: 'failed', message: messageOf(error) }, 1011);
      }
    });
  };

  const watch = (): void => {
    cancelTimer = clock.after(patienceMs / silentHeartbeats, () => {
      if (end) return;
      if (clock.nowMs() - lastMessageAtMs > patienceMs) {
        stop({ type: 'lost', message: `the coordinator was silent for ${Math.round(patienceMs / 1000)} s` }, 1001);
        return;
      }
      watch();
    });
  };

  const numericsCheck = async (message: MessageOf<'numericsCheck'>): Promise<void> => {
    compute.setWeights(message.weights);
    // The first run warms up what compiles on first use; the second is the one that is timed.
    await compute.gradient(message.pixels, message.labels);
    const result = await compute.gradient(message.pixels, message.labels);
    const { gradient, lossSum, correct, computeMs } = result;
    transport.send({ type: 'numericsResult', gradient, hash: options.hash(gradient), lossSum, correct, computeMs });
    onEvent?.({ type: 'ready' });
  };

  const pump = (): void => {
    if (computing) return;
    const index = tasks.findIndex((task) => task.step === weightsStep);
    const task = tasks[index];
    if (!task) return;
    tasks.splice(index, 1);
    computing = true;
    enqueue(async () => {
      try {
        await answer(task);
      } finally {
        computing = false;
        pump();
      }
    });
  };

  const answer = async ({ step, lo, n, first, pixels, labels, atMs }: Task): Promise<void> => {
    if (step !== weightsStep) return;
    let result: ShardGradient;
    try {
      const key = { seed, step, firstSample: first };
      result = await trouble.slowed(() => compute.gradient(pixels, labels, key, room));
    } catch (error) {
      const code = error instanceof ComputeError ? error.code : 'failed';
      await trouble.thawed();
      transport.send({ type: 'taskError', step, lo, n, code, message: messageOf(error) });
      return;
    }
    await trouble.thawed();
    const { gradient, lossSum, correct, count, computeMs } = result;
    // Where it travels it is copied into a frame, before the next is computed.
    if (sparse) room ??= new Float32Array(gradient.length / 4 + 2);
    if (Number.isFinite(lossSum)) {
      const packed = pack(gradient);
      const checksum = options.checksum(packed.bytes);
      const turnaroundMs = clock.nowMs() - Math.max(atMs, weightsAtMs);
      const figures = { lossSum, correct, count, computeMs, turnaroundMs };
      transport.send({ type: 'gradient', step, lo, n, ...packed, checksum, ...figures });
      onEvent?.({ type: 'computed', step, count, computeMs });
    } else {
      const message = `the loss of this shard is ${lossSum}`;
      transport.send({ type: 'taskError', step, lo, n, code: 'non-finite', message });
    }
  };

  /** Even of a task that is not wanted any more, the samples may be named by others. */
  const takeTask = (message: MessageOf<'task'>): void => {
    const atMs = clock.nowMs();
    let samples: ReturnType<typeof heldSamples>;
    try {
      samples = heldSamples(message);
    } catch (error) {
      stop({ type: 'lost', message: messageOf(error) }, 1002);
      return;
    }
    if (message.step < weightsStep) return;
    const { step, lo, n, first = 0 } = message;
    tasks.push({ step, lo, n, first, ...samples, atMs });
    pump();
  };

  const onMessage = (message: CoordinatorMessage): void => {
    lastMessageAtMs = clock.nowMs();
    if (trouble.kept(message)) return;
    switch (message.type) {
      case 'welcome':
        patienceMs = message.heartbeatMs * silentHeartbeats;
        seed = message.seed ?? 0;
        pack = createPacker({ sparse, lossy: message.gradients });
        heldSamples = createHeldSamples({
          count: message.samples ?? 0,
          keepBytes,
          keepPixels: compute.keepPixels?.bind(compute),
        });
        onEvent?.({ type: 'welcomed', id: message.id, resumeKey: message.resumeKey });
        room = undefined;
        enqueue(() => compute.open({ model: message.model, microbatchSize: message.microbatchSize }));
        return;
      case 'refuse': {
        const { code, retryAfterMs } = message;
        stop(
          { type: 'refused', code, message: message.message, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) },
          1000,
        );
        return;
      }
      case 'numericsCheck':
        tasks = [];
        weightsStep = -1;
        enqueue(() => numericsCheck(message));
        return;
      case 'weights': {
        weightsStep = message.step;
        weightsAtMs = clock.nowMs();
        tasks = tasks.filter((task) => task.step >= message.step);
        // In turn with the shards, so that no shard is computed half with old and half with new weights.
        enqueue(async () => compute.setWeights(heldWeights(message)));
        pump();
        return;
      }
      case 'task':
        takeTask(message);
        return;
      case 'cancel':
        tasks = tasks.filter(({ step, lo, n }) => step !== message.step || lo !== message.lo || n !== message.n);
        return;
      case 'injectFault':
        if (message.action === 'kill') stop({ type: 'failed', message: 'killed from the dashboard' }, 1001);
        else trouble.begin(message.action, message.forMs);
        return;
      case 'finish':
        stop({ type: 'finished', message: message.message }, 1000);
        return;
      case 'ping':
        transport.send({ type: 'pong', sentAtMs: message.sentAtMs });
        return;
      case 'pong':
      case 'bye':
        return;
      default:
        message satisfies never;
    }
  };

  const onClose = (closing: Closing): void => {
    cancelTimer();
    end ??= { type: 'lost', message: lostMessage(closing) };
    tasks = [];
    resolveEnded(end);
  };

  transport.listen({ onMessage, onClose });
  transport.send({
    type: 'hello',
    protocol: protocolVersion,
    kind: identity.kind,
    backend: compute.backend,
    numericMode: compute.numericMode,
    name: identity.name,
    threads: compute.threads,
    ...(identity.token === undefined ? {} : { token: identity.token }),
    ...(identity.resumeKey === undefined ? {} : { resumeKey: identity.resumeKey }),
    ...(keepBytes > 0 ? { keepsBytes: keepBytes } : {}),
  });
  watch();

  return {
    ended,
    leave(message) {
      if (end) return;
      transport.send({ type: 'bye', message });
      stop({ type: 'finished', message }, 1000);
    },
    setHidden(hidden) {
      if (!end) transport.send({ type: 'status', hidden });
    },
  };
}

function lostMessage({ code, reason, by }: Closing): string {
  if (reason !== '') return reason;
  return code === 1006 || by === 'remote'
    ? 'the connection to the coordinator broke'
    : `connection closed with code ${code}`;
}

function messageOf(error: unknown): string {
  return toMessageText(error instanceof Error ? error.message : String(error));
}
