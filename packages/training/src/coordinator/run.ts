/** A run at work: binds the rules to transports, numbers and a clock, and carries out what the rules ask for. */
import {
  type Checksum,
  type Closing,
  type CoordinatorTransport,
  type FaultAction,
  floatsFrom,
  type MessageOf,
  vectorFault,
  type WorkerMessage,
} from '@lockstep/protocol';
import type { Clock } from '../clock.ts';
import { type NumericsCheck, numericsFault } from '../numerics-check.ts';
import type { ParameterServer, StepResult } from '../parameter-server.ts';
import { samplesInShard } from '../plan.ts';
import type { ShardSource } from '../shard-source.ts';
import type { CheckedMessage, ControlAction, CoordinatorEvent, Effect, RunEvent } from './events.ts';
import { type ConnectionId, type CoordinatorState, initialState, type RunSetup } from './state.ts';
import { createSamplesPost } from './task-sender.ts';
import type { Trace } from './trace.ts';
import { transition } from './transition.ts';
import { createWeightsPost } from './weight-broadcaster.ts';

export interface RunOptions {
  readonly setup: RunSetup;
  /** The first step to take; not 0 where a run goes on from a checkpoint. */
  readonly firstStep?: number;
  readonly samples: ShardSource;
  readonly parameterServer: ParameterServer;
  readonly numericsCheck: NumericsCheck;
  /** What the coordinator itself computed for the numerics check. */
  readonly referenceGradient: Float32Array;
  readonly clock: Clock;
  readonly checksum: Checksum;
  /** Hash of a numerics check's gradient, in hex. */
  readonly hash: (bytes: Uint8Array) => string;
  /** A secret that nobody can guess, for a worker to come back with. */
  readonly newResumeKey: () => string;
  readonly onEvent?: (event: RunEvent) => void;
  /** Called after each step, when the learner holds the new weights. */
  readonly onStep?: (result: StepResult) => void;
  /** What passes between the coordinator and its workers, for a picture of the step. */
  readonly onTrace?: (trace: Trace) => void;
}

export type RunOutcome = { readonly type: 'finished' } | { readonly type: 'failed'; readonly message: string };

export interface Run {
  readonly state: CoordinatorState;
  readonly outcome: Promise<RunOutcome>;
  /** Takes over a connection that was just opened. */
  connect(transport: CoordinatorTransport): void;
  /** Ends the run where it is and sends everybody home. */
  stop(message: string): void;
  control(action: ControlAction): void;
  /** Makes a worker fail on purpose, for so long, in a run that was set up for it. */
  injectFault(workerId: string, action: FaultAction, forMs: number): void;
}

/** How often the rules look at the clock; well under the shortest deadline. */
const tickMs = 50;

export function startRun(options: RunOptions): Run {
  const { setup, parameterServer, samples, clock } = options;
  const transports = new Map<ConnectionId, CoordinatorTransport>();
  let state = initialState(setup, options.firstStep);
  let lastConnection = 0;
  const weights = createWeightsPost(parameterServer);
  const tasks = createSamplesPost(samples, setup.plan);
  let cancelTick = (): void => {};
  let resolveOutcome: (outcome: RunOutcome) => void = () => {};
  const outcome = new Promise<RunOutcome>((resolve) => {
    resolveOutcome = resolve;
  });

  type EventBody = CoordinatorEvent extends infer Event
    ? Event extends CoordinatorEvent
      ? Omit<Event, 'atMs'>
      : never
    : never;

  const dispatch = (event: EventBody): void => {
    const next = transition(state, { ...event, atMs: clock.nowMs() } as CoordinatorEvent);
    state = next.state;
    for (const effect of next.effects) carryOut(effect);
  };

  const carryOut = (effect: Effect): void => {
    switch (effect.type) {
      case 'send':
        transports.get(effect.connection)?.send(effect.message);
        return;
      case 'sendNumericsCheck':
        weights.forget(effect.connection);
        transports.get(effect.connection)?.send({ type: 'numericsCheck', ...options.numericsCheck });
        return;
      case 'sendWeights':
        transports.get(effect.connection)?.send(weights.messageFor(effect.connection, effect.step, isNear(effect)));
        traceAsked(effect);
        return;
      case 'sendTask': {
        const { connection, step } = effect;
        const keeps = state.connections.get(connection)?.keepsSamples ?? false;
        transports.get(connection)?.send(tasks.messageFor(connection, step, effect, keeps));
        // One that is sent ahead cannot be begun before its weights are there.
        if (step === state.current.step) traceAsked(effect);
        return;
      }
      case 'close':
        transports.get(effect.connection)?.close(effect.code, effect.reason);
        forget(effect.connection);
        return;
      case 'acceptGradient':
        parameterServer.accept(effect);
        return;
      case 'applyStep': {
        options.onTrace?.({ type: 'whole', step: effect.step, atMs: clock.nowMs() });
        const result = parameterServer.step(effect.step);
        options.onStep?.(result);
        return;
      }
      case 'event':
        options.onEvent?.(effect.event);
        return;
      case 'finished':
      case 'failed':
        cancelTick();
        resolveOutcome(effect);
        return;
      default:
        effect satisfies never;
    }
  };

  const forget = (connection: ConnectionId): void => {
    transports.delete(connection);
    weights.forget(connection);
    tasks.forget(connection);
  };

  const workerOf = (connection: ConnectionId): string => state.connections.get(connection)?.workerId ?? '';
  /** Whether nothing travels to it. */
  const isNear = ({ connection }: { readonly connection: ConnectionId }): boolean =>
    state.records.get(workerOf(connection))?.kind === 'local';

  const traceAsked = ({ connection, step }: { readonly connection: ConnectionId; readonly step: number }): void => {
    options.onTrace?.({ type: 'asked', workerId: workerOf(connection), step, atMs: clock.nowMs() });
  };

  const traceAnswered = (connection: ConnectionId, message: MessageOf<'gradient'>, arrivedAtMs: number): void => {
    const { step, count, computeMs, turnaroundMs } = message;
    const atMs = clock.nowMs();
    const workerId = workerOf(connection);
    options.onTrace?.({ type: 'answered', workerId, step, arrivedAtMs, atMs, count, computeMs, turnaroundMs });
  };

  /** Checks the bulk numbers of a message; the rules see the rest. */
  const check = (connection: ConnectionId, message: WorkerMessage): void => {
    if (message.type === 'gradient') checkGradient(connection, message);
    else if (message.type === 'numericsResult') checkNumerics(connection, message);
    else dispatch({ type: 'message', connection, message });
  };

  const checkGradient = (connection: ConnectionId, message: MessageOf<'gradient'>): void => {
    const { step, lo, n, bytes, computeMs } = message;
    const arrivedAtMs = clock.nowMs();
    const fault = faultOfGradient(message);
    if (fault !== undefined) {
      dispatch({ type: 'invalid', connection, closeCode: 1002, message: fault });
      return;
    }
    if (parameterServer.offer(bytes, message.lossSum, message.correct, message.encoding)) {
      traceAnswered(connection, message, arrivedAtMs);
      dispatch({ type: 'message', connection, message: { type: 'gradient', step, lo, n, computeMs } });
      return;
    }
    const nonFinite = `the gradient of microbatches ${lo} to ${lo + n - 1} is not finite`;
    const heard: CheckedMessage = { type: 'taskError', step, lo, n, code: 'non-finite', message: nonFinite };
    dispatch({ type: 'message', connection, message: heard });
  };

  const faultOfGradient = (message: MessageOf<'gradient'>): string | undefined => {
    const { step, lo, n, count } = message;
    const { plan } = setup;
    if (step >= plan.steps) return `gradient: expected a step below ${plan.steps}, got ${step}`;
    if (lo + n > plan.microbatches)
      return `gradient: expected microbatches below ${plan.microbatches}, got ${lo} to ${lo + n - 1}`;
    const malformed = faultOfBytes(message);
    if (malformed !== undefined) return `gradient: ${malformed}`;
    const samplesExpected = samplesInShard(plan, step, lo, n);
    if (count !== samplesExpected) return `gradient: expected ${samplesExpected} samples, got ${count}`;
    const checksum = options.checksum(message.bytes);
    if (checksum !== message.checksum) return `gradient: expected checksum ${checksum}, got ${message.checksum}`;
    return undefined;
  };

  const faultOfBytes = ({ bytes, encoding }: MessageOf<'gradient'>): string | undefined => {
    const { parameters } = parameterServer;
    if (encoding === undefined) {
      return bytes.length === parameters * 4 ? undefined : `expected ${parameters * 4} bytes, got ${bytes.length}`;
    }
    if (encoding !== 'sparse' && encoding !== setup.gradients) {
      return `expected values ${setup.gradients === undefined ? 'that are not rounded' : `as ${setup.gradients}`}, got ${encoding}`;
    }
    return vectorFault(bytes, encoding, parameters);
  };

  const checkNumerics = (connection: ConnectionId, message: MessageOf<'numericsResult'>): void => {
    const { gradient, hash: claimed, computeMs } = message;
    const fault = numericsFault(options.referenceGradient, floatsFrom(gradient));
    if (fault !== undefined) {
      dispatch({ type: 'numericsMismatch', connection, message: fault });
      return;
    }
    const hash = options.hash(gradient);
    if (hash !== claimed) {
      const mismatch = `numerics check: expected hash ${hash}, got ${claimed}`;
      dispatch({ type: 'invalid', connection, closeCode: 1002, message: mismatch });
      return;
    }
    const samplesPerMs = computeMs > 0 ? options.numericsCheck.labels.length / computeMs : 0;
    dispatch({ type: 'message', connection, message: { type: 'numericsResult', hash, samplesPerMs } });
  };

  const closed = (connection: ConnectionId, { code, reason, by }: Closing): void => {
    forget(connection);
    // The rules' own closings have removed it from the state already; any other local one refused a frame.
    if (by === 'local' && (code === 1002 || code === 1003 || code === 1009)) {
      dispatch({ type: 'invalid', connection, closeCode: code, message: reason });
    } else {
      dispatch({ type: 'closed', connection });
    }
  };

  const tick = (): void => {
    cancelTick = clock.after(tickMs, () => {
      tick();
      dispatch({ type: 'tick' });
    });
  };
  // A checkpoint may be that of a run's last step: nothing is left to wait for.
  if (state.phase === 'finished') resolveOutcome({ type: 'finished' });
  else tick();

  return {
    get state() {
      return state;
    },
    outcome,
    connect(transport) {
      const connection = ++lastConnection;
      transports.set(connection, transport);
      dispatch({ type: 'opened', connection, resumeKey: options.newResumeKey() });
      transport.listen({
        onMessage: (message) => check(connection, message),
        onClose: (closing) => closed(connection, closing),
      });
    },
    stop: (message) => dispatch({ type: 'stop', message }),
    control: (action) => dispatch({ type: 'control', action }),
    injectFault: (workerId, action, forMs) => dispatch({ type: 'injectFault', workerId, action, forMs }),
  };
}
