/** Connects a run's rules to transports, parameters and a clock, and carries out the rules' commands. */

import type { InlineSum, OwnSum, WeightsMessage } from '@lockstep/compute';
import { errorMessage } from '@lockstep/data/shown';
import {
  type Closing,
  type CoordinatorTransport,
  errorText,
  type MessageOf,
  toMessageText,
  type WorkerMessage,
} from '@lockstep/protocol';
import {
  type Command,
  type ConnectionId,
  type ControlAction,
  type CoordinatorEvent,
  type CoordinatorState,
  Rules,
  type Shard,
  shardKey,
  type UntimedEvent,
  type WorkerCommand,
} from '@lockstep/rules';
import { RemoteConnection, RemoteSources, receivedBytesOf, type WorkerConnection } from './connections.ts';
import { IncomingVectors } from './incoming-vectors.ts';
import type { InlineGradientMessage, InlineWorker } from './inline-worker.ts';
import { type Arrival, ResultReceiver } from './results.ts';
import type { AskedRunOptions, RunOptions, RunOutcome, SumRecorder } from './run-options.ts';

/** Interval at which deadlines are checked; well under the shortest deadline. */
const tickMs = 50;

type AnsweredGradient = Pick<InlineGradientMessage, 'step' | 'computeMs' | 'turnaroundMs'>;

export class Run {
  readonly outcome: Promise<RunOutcome>;
  readonly #options: RunOptions | AskedRunOptions;
  readonly #rules: Rules;
  readonly #results: ResultReceiver;
  readonly #vectors: IncomingVectors;
  readonly #remote: RemoteSources;
  readonly #connections = new Map<ConnectionId, WorkerConnection>();
  /** Workers that the rules have chosen to receive the arriving weights. */
  #weightsReceivers = new Set<ConnectionId>();
  #lastConnection: ConnectionId = 0;
  /** How often the run has gone back: what was begun before does not count. */
  #timesBack = 0;
  #cancelTick = (): void => {};
  #end: (outcome: RunOutcome) => void = () => {};

  constructor(options: RunOptions | AskedRunOptions) {
    this.#options = options;
    this.#remote = new RemoteSources(options);
    this.#rules = new Rules(options.setup, options.firstStep, options.history);
    this.#results = new ResultReceiver(options);
    this.#vectors = new IncomingVectors(options, this.#results);
    this.outcome = new Promise((resolve) => {
      this.#end = resolve;
    });
    // If the checkpoint is of the run's last step, there is nothing left to do.
    if (this.state.phase === 'finished') this.#end({ type: 'finished' });
    else this.#tick();
  }

  get state(): CoordinatorState {
    return this.#rules.view;
  }

  /** Whether remote workers still wait for chunks of the newest weights, and how many chunks they were given. */
  get unsent(): { readonly isAny: boolean; readonly given: number } {
    return this.#remote.unsent;
  }

  /**
   * Takes over a connection that was just opened.
   * @param address remote address; empty for a worker of this process
   */
  connect(transport: CoordinatorTransport, address = ''): void {
    const connection = ++this.#lastConnection;
    const remote = new RemoteConnection(connection, transport, this.#remote);
    this.#open(connection, remote, address, false);
    transport.listen({
      memoryFor: (type, byteLength) => this.#vectors.memoryFor(this.state, connection, type, byteLength),
      onMessage: (message) => this.#receive(connection, remote.checked(message)),
      onClose: (closing) => this.#closed(connection, closing),
    });
  }

  /** Connects a worker in this process, which computes with the parameter server's weights. */
  connectInline(worker: InlineWorker): void {
    const connection = ++this.#lastConnection;
    worker.attach({
      report: (message) => this.#dispatch({ type: 'message', connection, message }),
      finish: (message, sum) => this.#finishInline(connection, message, sum),
      drop: (sum) => this.#results.drop({ memory: sum }),
      reconnect: () => this.connectInline(worker),
      fail: (message) => this.stop(message),
    });
    this.#open(connection, worker, '', true);
    const hello = worker.hello(this.#options.setup.token);
    this.#dispatch({ type: 'message', connection, message: hello });
  }

  /** Asks a relay's run for the sum over a shard. */
  ask(step: number, shard: Shard): void {
    this.#dispatch({ type: 'asked', step, ...shard });
  }

  /** Forgets the weights and sums of this step and of later ones, because the coordinator above has gone back. */
  goBack(step: number): void {
    this.#timesBack += 1;
    this.#results.clear();
    this.#dispatch({ type: 'recalled', step });
  }

  /** Withdraws the asked shard. */
  askNoMore(): void {
    this.#dispatch({ type: 'askedNoMore' });
  }

  /** Forwards weights of a later step message by message; `part` is undefined if they broke off. */
  forwardWeights(step: number, part: WeightsMessage | undefined): void {
    if (part === undefined) this.#dispatch({ type: 'weightsBroken', step });
    else if (part.type === 'weights') this.#dispatch({ type: 'weightsArriving', step });
    if (part === undefined) return;
    for (const connection of this.#weightsReceivers) {
      // A worker that must pass the numerics check again is sent all weights later.
      if (this.state.connections.get(connection)?.weightsStep !== step) this.#weightsReceivers.delete(connection);
      else this.#connections.get(connection)?.forwardWeights?.(part);
    }
  }

  /** Ends the run at once; every worker gets the message. @param anotherMayFollow by default the setup's */
  stop(message: string, anotherMayFollow?: boolean): void {
    this.#dispatch({ type: 'stop', message, anotherMayFollow });
  }

  /** Lets the run take this many steps in all, until the next call; without one, it takes every step. */
  allow(steps: number): void {
    this.#dispatch({ type: 'allow', steps });
  }

  /** Ends the run at once, as after its last step. */
  finish(): void {
    this.#dispatch({ type: 'finish' });
  }

  /** Closes every connection; the workers look for another address. */
  closeAll(reason: string): void {
    for (const connection of this.#connections.values()) connection.close(1001, reason);
  }

  control(action: ControlAction): void {
    const { onStart } = this.#options;
    if (onStart && action !== 'pause') {
      onStart();
      return;
    }
    this.#dispatch({ type: 'control', action });
  }

  /** Renames or removes a worker, or makes it fail on purpose if the run was set up for fault injection. */
  manageWorker(command: WorkerCommand): void {
    this.#dispatch(command);
  }

  #open(id: ConnectionId, connection: WorkerConnection, address: string, isOwn: boolean): void {
    this.#connections.set(id, connection);
    this.#dispatch({ type: 'opened', connection: id, resumeKey: this.#options.newResumeKey(), address, isOwn });
  }

  /** @param arrival the event's result; dropped unless the rules add or hold it */
  #dispatch(event: UntimedEvent, arrival?: Arrival): void {
    const timed = { ...event, atMs: this.#options.clock.nowMs() } as CoordinatorEvent;
    for (const command of this.#rules.handle(timed)) this.#carryOut(command, arrival);
    if (arrival && arrival.isTaken !== true) this.#results.drop(arrival);
  }

  #tick(): void {
    this.#cancelTick = this.#options.clock.after(tickMs, () => {
      this.#tick();
      this.#dispatch({ type: 'tick', receivedBytes: receivedBytesOf(this.#connections) });
    });
  }

  #carryOut(command: Command, arrival: Arrival | undefined): void {
    switch (command.type) {
      case 'send':
        this.#connections.get(command.connection)?.send(command.message);
        return;
      case 'sendNumericsCheck':
        this.#connections.get(command.connection)?.sendNumericsCheck();
        return;
      case 'sendWeights':
        this.#connections.get(command.connection)?.sendWeights(command.step);
        this.#traceAsked(command.connection, command.step);
        return;
      case 'forwardWeights':
        this.#weightsReceivers = new Set(command.connections);
        return;
      case 'sendTask':
        this.#sendTask(command);
        return;
      case 'close':
        this.#connections.get(command.connection)?.close(command.code, command.reason);
        this.#forget(command.connection);
        return;
      case 'add':
        this.#add(command, arrival);
        return;
      case 'hold':
        if (arrival) this.#results.hold(arrival);
        return;
      case 'referee':
        this.#referee(command.step, { lo: command.lo, n: command.n }).catch((error: unknown) => {
          // Nobody awaits the referee, so an error, which only a bug can cause, has to end the run here.
          this.stop(errorText(error));
        });
        return;
      case 'restartStep':
        this.#transcript?.restart();
        this.#results.restartStep(command.step, command.asked);
        return;
      case 'keepState':
        this.#keepState(command);
        return;
      case 'goBack':
        this.#goBackTo(command.step);
        return;
      case 'applyStep':
        this.#applyStep(command.step);
        return;
      case 'askedDone':
      case 'askedFailed':
        this.#endAsked(command);
        return;
      case 'event':
        this.#options.onEvent?.(command.event);
        return;
      case 'finished':
      case 'failed':
        this.#cancelTick();
        this.#end(command);
        return;
      default:
        command satisfies never;
    }
  }

  #sendTask({ connection, step, lo, n }: Extract<Command, { type: 'sendTask' }>): void {
    const cachesSamples = this.state.connections.get(connection)?.cachesSamples ?? false;
    this.#connections.get(connection)?.sendTask(step, { lo, n }, cachesSamples);
    // A task that is sent ahead cannot begin before its weights arrive.
    if (step === this.state.current.step) this.#traceAsked(connection, step);
  }

  get #transcript(): SumRecorder | undefined {
    return 'transcript' in this.#options ? this.#options.transcript : undefined;
  }

  #add(command: Extract<Command, { type: 'add' }>, arrival: Arrival | undefined): void {
    const { step, lo, n, workerId = '' } = command;
    const transcript = this.#transcript;
    const record =
      transcript && ((sum: Float32Array) => transcript.add({ step, lo, n }, this.state.records.get(workerId), sum));
    this.#results.add(command, arrival, record);
  }

  #applyStep(step: number): void {
    const { parameterServer, onStep, onTrace, clock } = this.#steppingOptions(step);
    onTrace?.({ type: 'whole', step, atMs: clock.nowMs() });
    this.#results.stepTaken(this.state);
    // `onStep` may copy a checkpoint, so it is called only once the step is complete.
    const result = parameterServer.step(step);
    this.#transcript?.stepped(step);
    onStep?.(result);
  }

  #keepState({ step, forget }: Extract<Command, { type: 'keepState' }>): void {
    const { parameterServer, onKeep } = this.#steppingOptions(step);
    if (forget !== undefined) parameterServer.forgetState(forget);
    parameterServer.keepState(step);
    onKeep?.(step, forget);
  }

  #goBackTo(step: number): void {
    const { parameterServer, onGoBack } = this.#steppingOptions(step);
    this.#timesBack += 1;
    this.#results.clear();
    this.#transcript?.goBack(step);
    parameterServer.goBack(step);
    onGoBack?.(step);
  }

  #steppingOptions(step: number): RunOptions {
    const options = this.#options;
    if ('onAskedDone' in options) throw new Error(`step ${step}: expected a run that takes steps`);
    return options;
  }

  #endAsked(command: Extract<Command, { type: 'askedDone' | 'askedFailed' }>): void {
    const options = this.#options;
    if (!('onAskedDone' in options)) throw new Error('expected a run that is asked for shards');
    this.#results.stepTaken(this.state);
    if (command.type === 'askedDone') options.onAskedDone();
    else options.onAskedFailed(command.message);
  }

  #forget(connection: ConnectionId): void {
    this.#connections.get(connection)?.forget?.();
    this.#connections.delete(connection);
    this.#vectors.forget(connection);
  }

  #receive(connection: ConnectionId, message: WorkerMessage): void {
    if (message.type === 'gradient' || message.type === 'numericsResult' || message.type === 'chunk') {
      this.#receiveVector(connection, message);
    } else this.#dispatch({ type: 'message', connection, message });
  }

  /** Takes the sum of a worker in this process, which is not checked because it is the coordinator's own. */
  #finishInline(connection: ConnectionId, told: InlineGradientMessage, sum: InlineSum | undefined): void {
    this.#traceAnswered(connection, told, this.#options.clock.nowMs());
    const looked = sum ? this.#results.finishInline(this.state, connection, told, sum) : { told };
    this.#dispatch({ type: 'message', connection, message: looked.told }, looked.arrival);
  }

  /** Receives a part of a vector, and tells the rules once the vector is complete or faulty. */
  #receiveVector(connection: ConnectionId, message: MessageOf<'gradient' | 'numericsResult' | 'chunk'>): void {
    // Messages of a connection that the rules have closed may still arrive.
    if (!this.#connections.has(connection)) return;
    const arrivedAtMs = this.#options.clock.nowMs();
    const received = this.#vectors.receive(this.state, connection, message);
    if (!received) return;
    const { event, gradient, arrival } = received;
    if (gradient) this.#traceAnswered(connection, gradient, arrivedAtMs);
    this.#dispatch(event, arrival);
  }

  async #referee(step: number, shard: Shard): Promise<void> {
    let result: OwnSum;
    const timesBack = this.#timesBack;
    const isWanted = (): boolean => {
      const { step: current, shards } = this.state.current;
      return timesBack === this.#timesBack && step === current && shards.get(shardKey(shard))?.done === false;
    };
    try {
      result = await this.#options.referee(step, shard);
    } catch (error) {
      // A relay may have been asked for another shard, and has the samples and weights of that one instead.
      if (!isWanted()) return;
      const reason = errorMessage(error);
      this.stop(toMessageText(`a shard could not be computed here, to decide between results that differ: ${reason}`));
      return;
    }
    // Meanwhile the run may have ended, gone back, or taken the step with another result.
    if (!isWanted()) {
      this.#results.drop(result);
      return;
    }
    const { told, arrival } = this.#results.finishOwn(step, shard, result);
    this.#dispatch({ type: 'refereed', step, ...shard, ...told }, arrival);
  }

  #traceAsked(connection: ConnectionId, step: number): void {
    const { onTrace, clock } = this.#options;
    onTrace?.({ type: 'asked', workerId: this.#workerOf(connection), step, atMs: clock.nowMs() });
  }

  #traceAnswered(connection: ConnectionId, gradient: AnsweredGradient, arrivedAtMs: number): void {
    const { onTrace, clock } = this.#options;
    const { step, computeMs, turnaroundMs } = gradient;
    const figures = { step, computeMs, turnaroundMs };
    onTrace?.({ type: 'answered', workerId: this.#workerOf(connection), arrivedAtMs, atMs: clock.nowMs(), ...figures });
  }

  #workerOf(connection: ConnectionId): string {
    return this.state.connections.get(connection)?.workerId ?? '';
  }

  #closed(connection: ConnectionId, { code, reason, by }: Closing): void {
    this.#forget(connection);
    // The rules ignore connections that they closed themselves. Any other local close means that a message was refused.
    if (by === 'local' && (code === 1002 || code === 1003 || code === 1008 || code === 1009)) {
      this.#dispatch({ type: 'invalid', connection, closeCode: code, message: reason });
    } else {
      this.#dispatch({ type: 'closed', connection });
    }
  }
}
