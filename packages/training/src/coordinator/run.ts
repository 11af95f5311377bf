/** A run at work: binds the rules to transports, parameters and a clock, and carries out the rules' effects. */
import {
  type Checksum,
  type Closing,
  type CoordinatorTransport,
  type FaultAction,
  floatsFrom,
  type MessageOf,
  type WorkerMessage,
} from '@lockstep/protocol';
import type { Clock } from '../clock.ts';
import { type NumericsCheck, numericsFault } from '../numerics-check.ts';
import type { ParameterServer, StepResult } from '../parameter-server.ts';
import type { ShardSource } from '../shard-source.ts';
import type { Shard } from '../tree.ts';
import type { ShardGradient } from '../worker/compute.ts';
import type { ControlAction, CoordinatorEvent, Effect, RunEvent, UntimedEvent } from './events.ts';
import { gradientFault } from './gradient-check.ts';
import { HeldResults } from './held-results.ts';
import { dispositionOf } from './results.ts';
import { type ConnectionId, type CoordinatorState, initialState, type RunSetup } from './state.ts';
import { TaskSender } from './task-sender.ts';
import type { Trace } from './trace.ts';
import { transition } from './transition.ts';

export interface RunOptions {
  readonly setup: RunSetup;
  /** The first step to take; not 0 where a run goes on from a checkpoint. */
  readonly firstStep?: number;
  readonly samples: ShardSource;
  readonly parameterServer: ParameterServer;
  readonly numericsCheck: NumericsCheck;
  /** What the coordinator itself computed for the numerics check. */
  readonly referenceGradient: Float32Array;
  /** Computes a shard of a step with the parameter server's weights, to decide between results that differ. */
  readonly referee: (step: number, shard: Shard) => Promise<ShardGradient>;
  readonly clock: Clock;
  readonly checksum: Checksum;
  /** Hash of the numerics check's gradient, in hex. */
  readonly hash: (bytes: Uint8Array) => string;
  /** A secret that cannot be guessed, by which a worker comes back. */
  readonly newResumeKey: () => string;
  readonly onEvent?: (event: RunEvent) => void;
  /** Called after each step, when the parameter server holds the new weights. */
  readonly onStep?: (result: StepResult) => void;
  /** What passes between the coordinator and its workers, for a picture of the step. */
  readonly onTrace?: (trace: Trace) => void;
}

export type RunOutcome = { readonly type: 'finished' } | { readonly type: 'failed'; readonly message: string };

/** How often the rules look at the clock; well under the shortest deadline. */
const tickMs = 50;

export class Run {
  readonly outcome: Promise<RunOutcome>;
  readonly #options: RunOptions;
  readonly #tasks: TaskSender;
  readonly #held: HeldResults;
  readonly #transports = new Map<ConnectionId, CoordinatorTransport>();
  #state: CoordinatorState;
  #lastConnection: ConnectionId = 0;
  /** The message with the newest weights; one object for all connections, so that the codec encodes it once. */
  #weights: MessageOf<'weights'> | undefined;
  #cancelTick = (): void => {};
  #end: (outcome: RunOutcome) => void = () => {};

  constructor(options: RunOptions) {
    this.#options = options;
    this.#tasks = new TaskSender(options.samples, options.setup.plan);
    this.#held = new HeldResults(options.setup.gradients !== undefined);
    this.#state = initialState(options.setup, options.firstStep);
    this.outcome = new Promise((resolve) => {
      this.#end = resolve;
    });
    // A checkpoint may be that of a run's last step, after which there is nothing to do.
    if (this.#state.phase === 'finished') this.#end({ type: 'finished' });
    else this.#tick();
  }

  get state(): CoordinatorState {
    return this.#state;
  }

  /** Takes over a connection that was just opened. @param address where it comes from; empty for this process */
  connect(transport: CoordinatorTransport, address = ''): void {
    const connection = ++this.#lastConnection;
    this.#transports.set(connection, transport);
    this.#dispatch({ type: 'opened', connection, resumeKey: this.#options.newResumeKey(), address });
    transport.listen({
      onMessage: (message) => this.#receive(connection, message),
      onClose: (closing) => this.#closed(connection, closing),
    });
  }

  /** Ends the run where it is; every worker gets the message. */
  stop(message: string): void {
    this.#dispatch({ type: 'stop', message });
  }

  control(action: ControlAction): void {
    this.#dispatch({ type: 'control', action });
  }

  /** Makes a worker fail on purpose for so long, in a run that was set up for it. */
  injectFault(workerId: string, action: FaultAction, forMs: number): void {
    this.#dispatch({ type: 'injectFault', workerId, action, forMs });
  }

  #dispatch(event: UntimedEvent): void {
    const next = transition(this.#state, { ...event, atMs: this.#options.clock.nowMs() } as CoordinatorEvent);
    this.#state = next.state;
    for (const effect of next.effects) this.#carryOut(effect);
  }

  #tick(): void {
    this.#cancelTick = this.#options.clock.after(tickMs, () => {
      this.#tick();
      this.#dispatch({ type: 'tick', receivedBytes: this.#receivedBytes() });
    });
  }

  #receivedBytes(): Map<ConnectionId, number> {
    const received = new Map<ConnectionId, number>();
    for (const [connection, { receivedBytes }] of this.#transports) {
      if (receivedBytes !== undefined) received.set(connection, receivedBytes);
    }
    return received;
  }

  #carryOut(effect: Effect): void {
    switch (effect.type) {
      case 'send':
        this.#transports.get(effect.connection)?.send(effect.message);
        return;
      case 'sendNumericsCheck':
        this.#transports.get(effect.connection)?.send({ type: 'numericsCheck', ...this.#options.numericsCheck });
        return;
      case 'sendWeights':
        this.#transports.get(effect.connection)?.send(this.#weightsOf(effect.step));
        this.#traceAsked(effect.connection, effect.step);
        return;
      case 'sendTask':
        this.#sendTask(effect);
        return;
      case 'close':
        this.#transports.get(effect.connection)?.close(effect.code, effect.reason);
        this.#forget(effect.connection);
        return;
      case 'addHeld':
        this.#addHeld(effect, effect.from);
        return;
      case 'referee':
        void this.#referee(effect.step, { lo: effect.lo, n: effect.n });
        return;
      case 'restartStep':
        this.#held.clear();
        this.#options.parameterServer.aggregator.begin(effect.step);
        return;
      case 'applyStep':
        this.#applyStep(effect.step);
        return;
      case 'event':
        this.#options.onEvent?.(effect.event);
        return;
      case 'finished':
      case 'failed':
        this.#cancelTick();
        this.#end(effect);
        return;
      default:
        effect satisfies never;
    }
  }

  #weightsOf(step: number): MessageOf<'weights'> {
    if (this.#weights?.step !== step) {
      this.#weights = { type: 'weights', step, bytes: this.#options.parameterServer.weightBytes() };
    }
    return this.#weights;
  }

  #sendTask({ connection, step, lo, n }: Extract<Effect, { type: 'sendTask' }>): void {
    const cachesSamples = this.#state.connections.get(connection)?.cachesSamples ?? false;
    const message = this.#tasks.messageFor(connection, step, { lo, n }, cachesSamples);
    this.#transports.get(connection)?.send(message);
    // A task that is sent ahead cannot be begun before its weights arrive.
    if (step === this.#state.current.step) this.#traceAsked(connection, step);
  }

  #applyStep(step: number): void {
    const { parameterServer, clock, onTrace, onStep } = this.#options;
    onTrace?.({ type: 'whole', step, atMs: clock.nowMs() });
    this.#held.clear();
    const result = parameterServer.step(step);
    onStep?.(result);
  }

  #forget(connection: ConnectionId): void {
    this.#transports.delete(connection);
    this.#tasks.forget(connection);
  }

  #receive(connection: ConnectionId, message: WorkerMessage): void {
    if (message.type === 'gradient') this.#receiveGradient(connection, message);
    else if (message.type === 'numericsResult') this.#receiveNumericsResult(connection, message);
    else this.#dispatch({ type: 'message', connection, message });
  }

  /** Checks a gradient, adds it where the state wants it, and then tells the state. */
  #receiveGradient(connection: ConnectionId, gradient: MessageOf<'gradient'>): void {
    const { setup, parameterServer, checksum, clock } = this.#options;
    const { step, lo, n, computeMs, turnaroundMs } = gradient;
    const arrivedAtMs = clock.nowMs();
    const fault = gradientFault(gradient, setup, parameterServer.parameterCount, checksum);
    if (fault !== undefined) {
      this.#dispatch({ type: 'invalid', connection, closeCode: 1002, message: fault });
      return;
    }
    const disposition = dispositionOf(this.#state, connection, gradient);
    const agreesWith = disposition === 'hold' ? this.#hold(connection, gradient) : [];
    const wasAdded = disposition !== 'add' || parameterServer.aggregator.add({ lo, n }, gradient);
    if (!wasAdded || agreesWith === undefined) {
      const message = `the gradient of microbatches ${lo} to ${lo + n - 1} is not finite`;
      const error = { type: 'taskError', step, lo, n, code: 'non-finite', message } as const;
      this.#dispatch({ type: 'message', connection, message: error });
      return;
    }
    this.#traceAnswered(connection, gradient, arrivedAtMs);
    this.#dispatch({
      type: 'message',
      connection,
      message: { type: 'gradient', step, lo, n, computeMs, turnaroundMs, agreesWith },
    });
  }

  /** Holds a result until another one of the shard is there; undefined where a number of it is not finite. */
  #hold(connection: ConnectionId, gradient: MessageOf<'gradient'>): readonly ConnectionId[] | undefined {
    const values = this.#options.parameterServer.aggregator.decode(gradient);
    if (!values) return undefined;
    const numericsHash = this.#state.records.get(this.#workerOf(connection))?.numericsHash ?? '';
    return this.#held.add(gradient, { connection, values, numericsHash });
  }

  #addHeld({ lo, n }: Shard, from: ConnectionId): void {
    const values = this.#held.take({ lo, n }, from);
    if (!values) throw new Error(`microbatches ${lo} to ${lo + n - 1}: expected a held result of connection ${from}`);
    this.#options.parameterServer.aggregator.addValues({ lo, n }, values);
  }

  async #referee(step: number, shard: Shard): Promise<void> {
    const { referee, parameterServer, setup } = this.#options;
    const { gradient, lossSum, correct } = await referee(step, shard);
    // The run may have ended or begun the step anew meanwhile; the rules then ignore what is reported.
    if (step !== this.#state.current.step) return;
    const values = parameterServer.aggregator.decode({ bytes: gradient, lossSum, correct });
    const result = { connection: 0, values: values ?? new Float32Array(), numericsHash: setup.refereeHash ?? '' };
    const agreesWith = values ? this.#held.add(shard, result) : [];
    this.#dispatch({ type: 'refereed', step, ...shard, isFinite: values !== undefined, agreesWith });
  }

  #receiveNumericsResult(connection: ConnectionId, result: MessageOf<'numericsResult'>): void {
    const { referenceGradient, numericsCheck } = this.#options;
    const { gradient, computeMs } = result;
    const fault = numericsFault(referenceGradient, floatsFrom(gradient));
    if (fault !== undefined) {
      this.#dispatch({ type: 'numericsMismatch', connection, message: fault });
      return;
    }
    const hash = this.#options.hash(gradient);
    if (hash !== result.hash) {
      const message = `numerics check: expected hash ${hash}, got ${result.hash}`;
      this.#dispatch({ type: 'invalid', connection, closeCode: 1002, message });
      return;
    }
    const samplesPerMs = computeMs > 0 ? numericsCheck.labels.length / computeMs : 0;
    this.#dispatch({ type: 'message', connection, message: { type: 'numericsResult', hash, samplesPerMs, computeMs } });
  }

  #closed(connection: ConnectionId, { code, reason, by }: Closing): void {
    this.#forget(connection);
    // The state no longer has a connection that the rules closed; any other local closing refused a frame.
    if (by === 'local' && (code === 1002 || code === 1003 || code === 1009)) {
      this.#dispatch({ type: 'invalid', connection, closeCode: code, message: reason });
    } else {
      this.#dispatch({ type: 'closed', connection });
    }
  }

  #workerOf(connection: ConnectionId): string {
    return this.#state.connections.get(connection)?.workerId ?? '';
  }

  #traceAsked(connection: ConnectionId, step: number): void {
    const { onTrace, clock } = this.#options;
    onTrace?.({ type: 'asked', workerId: this.#workerOf(connection), step, atMs: clock.nowMs() });
  }

  #traceAnswered(connection: ConnectionId, message: MessageOf<'gradient'>, arrivedAtMs: number): void {
    const { onTrace, clock } = this.#options;
    const { step, count, computeMs, turnaroundMs } = message;
    const workerId = this.#workerOf(connection);
    const atMs = clock.nowMs();
    onTrace?.({ type: 'answered', workerId, step, arrivedAtMs, atMs, count, computeMs, turnaroundMs });
  }
}
