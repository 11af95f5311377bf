/** A coordinator in virtual time that writes checkpoints, crashes, and resumes from the newest readable one. */

import type { InlineCompute } from '@lockstep/compute';
import { InlineWorker, Run, type RunOptions, type RunOutcome } from '@lockstep/coordinator';
import { errorMessage } from '@lockstep/data/shown';
import type { Clock, CoordinatorTransport } from '@lockstep/protocol';
import { type CoordinatorState, historyOf, type Shard } from '@lockstep/rules';
import type { Happening } from './chronicle.ts';
import type { SampleLedger } from './invariants.ts';
import type { Problem, RunCopy, RunParts } from './problem.ts';
import type { SimulatedFleet, SimulatedMember } from './routes.ts';
import { SimulatedDisk, SimulatedProcess } from './simulated-process.ts';

/** Connects a worker in the coordinator's process. @param computeMs virtual time to compute n microbatches */
function connectInline(
  run: Run,
  { parts, process, computeMs }: { parts: RunParts; process: SimulatedProcess; computeMs: (n: number) => number },
): void {
  const { setup, parameterServer, referee } = parts;
  const { aggregator, backend } = parameterServer;
  const compute: InlineCompute = {
    backend: backend.name,
    numericMode: backend.numericMode,
    threads: 1,
    checkNumerics: async () => ({
      hash: setup.refereeHash ?? '',
      samplesPerMs: setup.plan.microbatchSize / computeMs(1),
    }),
    async compute(step: number, shard: Shard, isCanceled: () => boolean) {
      const ms = computeMs(shard.n);
      await new Promise<void>((resolve) => process.after(ms, resolve));
      if (isCanceled()) return { sum: undefined, computeMs: ms };
      const { memory } = await referee(step, shard);
      if (aggregator.read(memory)) return { sum: memory, computeMs: ms };
      aggregator.release(memory);
      return { sum: undefined, computeMs: ms };
    },
  };
  run.connectInline(new InlineWorker({ compute, name: 'coordinator', clock: process, hasOthers: true }));
}

/** A run with patience, as it appears to the rules: its coordinator evaluates each epoch while the run goes on. */
export interface EarlyStop {
  /** The epoch after which the run stops, from 1. */
  readonly lastEpoch: number;
  /** Virtual time to evaluate an epoch. */
  readonly evaluateMs: number;
}

interface SimulatedCoordinatorOptions {
  readonly name: string;
  readonly clock: Clock;
  readonly run: RunParts;
  readonly ledger?: SampleLedger | undefined;
  /** Creates the run again after a crash. */
  readonly resume?: Problem['resume'] | undefined;
  /** Decides whether the coordinator trains, and stores its checkpoints; by default it trains and has a disk. */
  readonly fleet?: SimulatedFleet | undefined;
  /** Steps between two checkpoints; none is written by default. */
  readonly checkpointEvery?: number | undefined;
  /** By default the run takes all steps. */
  readonly earlyStop?: EarlyStop | undefined;
  /** Virtual time to write a checkpoint. */
  readonly writeMs: number;
  /** Virtual time in which the coordinator computes a shard to compare it. */
  readonly refereeMs: number;
  /** Virtual time in which the coordinator computes microbatches as a worker; omitted if it has no share. */
  readonly colocatedMs?: ((microbatches: number) => number) | undefined;
  readonly note: (happening: Happening, workerName?: string) => void;
  /** Called with the weights after each step of each life. */
  readonly onWeights: (step: number, weights: Float32Array) => void;
  /** Called with the weights before the step to which a life has gone back. */
  readonly onGoBack: (step: number, weights: Float32Array) => void;
}

/** One life of the coordinator, from its start to its crash or to the end of the run. */
interface Life {
  readonly process: SimulatedProcess;
  readonly run: Run;
  readonly parts: RunParts;
  readonly ledger: SampleLedger | undefined;
  readonly member: SimulatedMember | undefined;
  /** Weights of the last epoch, if the run stops early and has taken it. */
  kept: Float32Array | undefined;
  /** Complete epochs, and how many of them are evaluated; used if the run stops early. */
  epochs: number;
  evaluated: number;
  isEvaluating: boolean;
  /** How often the run has gone back; what was begun before does not count. */
  timesBack: number;
}

/** Delay before a coordinator that ended by itself is started again. */
const coordinatorRestartMs = 1_000;

export class SimulatedCoordinator {
  readonly name: string;
  readonly disk = new SimulatedDisk<RunCopy>();
  outcome: RunOutcome | undefined;
  /** Final states of the lives that ended before the run did. */
  readonly ended: CoordinatorState[] = [];
  readonly #options: SimulatedCoordinatorOptions;
  /** The running process, whether it trains or waits; undefined while there is none. */
  #process: SimulatedProcess | undefined;
  #life: Life | undefined;
  #fault: string | undefined;
  #resumeKeys = 0;

  constructor(options: SimulatedCoordinatorOptions) {
    this.name = options.name;
    this.#options = options;
    const { fleet, run, ledger, clock } = options;
    if (fleet) void this.#stand(fleet);
    else this.#start(new SimulatedProcess(clock), { run, ledger });
  }

  /** The process that accepts connections now; undefined while there is none. */
  get process(): SimulatedProcess | undefined {
    return this.#life?.process;
  }

  get state(): CoordinatorState | undefined {
    return this.#life?.run.state;
  }

  get parts(): RunParts | undefined {
    return this.#life?.parts;
  }

  /** Weights that the run ends with, if it stops early. */
  get kept(): Float32Array | undefined {
    return this.#life?.kept;
  }

  /** Describes the first sample that was not counted, or counted twice, or states that are not forgotten. */
  get fault(): string | undefined {
    return this.#fault ?? this.#life?.ledger?.fault ?? this.#memoryFault;
  }

  /** The server keeps no state but those to which the run may go back. */
  get #memoryFault(): string | undefined {
    const { run, parts } = this.#life ?? {};
    const [states, known] = [parts?.parameterServer.keptStates ?? 0, run?.state.kept.length ?? 0];
    return states > known ? `${states} states are in memory, of which the run knows ${known}` : undefined;
  }

  get canCrash(): boolean {
    return this.#options.resume !== undefined && this.#process !== undefined;
  }

  accept(transport: CoordinatorTransport, address: string): void {
    this.#life?.run.connect(transport, address);
  }

  /** Suspends its code for this long. */
  freeze(forMs: number): void {
    this.#process?.freeze(forMs);
  }

  /** Ends it as `kill -9` does, and starts it again after this long. Writes in progress are lost. */
  crash(downMs: number): void {
    const { clock, fleet } = this.#options;
    if (!this.canCrash) return;
    this.#end();
    clock.after(downMs, () => {
      if (fleet) void this.#stand(fleet);
      else this.#resume(new SimulatedProcess(clock), this.disk.newest(), undefined);
    });
  }

  #end(): void {
    this.#process?.kill();
    this.#process = undefined;
    this.#fault = this.fault;
    if (this.#life) this.ended.push(this.#life.run.state);
    this.#life = undefined;
  }

  /** Waits as a standby until it leads, then trains; a process that cannot lead is started again. */
  async #stand(fleet: SimulatedFleet): Promise<void> {
    const { clock, name, note } = this.#options;
    const process = new SimulatedProcess(clock);
    this.#process = process;
    const member = fleet.coordinator(process, name);
    try {
      await member.open();
      this.#resume(process, await member.newest(), member);
    } catch (error) {
      await member.close();
      note({ type: 'fault', text: `${name} cannot lead: ${errorMessage(error)}` });
      this.#startAgain(process, fleet);
      return;
    }
    void member.deposed.then(() => this.#depose(process, fleet));
    await member.announce();
  }

  /** Tells the workers that another coordinator leads, and waits as a standby. */
  #depose(process: SimulatedProcess, fleet: SimulatedFleet): void {
    if (process.isDead || this.outcome || this.#life?.process !== process) return;
    this.#options.note({ type: 'fault', text: `${this.name} is deposed` });
    const { run } = this.#life;
    process.after(0, () => this.#startAgain(process, fleet));
    this.ended.push(run.state);
    this.#life = undefined;
    run.stop('another coordinator leads the run');
  }

  #startAgain(process: SimulatedProcess, fleet: SimulatedFleet): void {
    if (process.isDead) return;
    // Its last messages have left by now.
    this.#end();
    this.#options.clock.after(coordinatorRestartMs, () => void this.#stand(fleet));
  }

  #resume(process: SimulatedProcess, checkpoint: RunCopy | undefined, member: SimulatedMember | undefined): void {
    const { resume, name, note } = this.#options;
    if (!resume) throw new Error('expected a way to create the run again');
    const from = checkpoint ? `from the checkpoint before step ${checkpoint.step + 1}` : 'from the beginning';
    note({ type: 'fault', text: `${name} starts${member ? '' : ' again'}, ${from}` });
    this.#start(process, resume(checkpoint), member, checkpoint?.kept);
  }

  #start(
    process: SimulatedProcess,
    { run: parts, ledger }: Pick<SimulatedCoordinatorOptions, 'run' | 'ledger'>,
    member?: SimulatedMember,
    kept?: Float32Array,
  ): void {
    const { note, onWeights, onGoBack, earlyStop } = this.#options;
    const isAlive = (): boolean => !process.isDead && this.#life?.process === process;
    const run = new Run({
      ...parts,
      referee: this.#slowReferee(process, parts.referee),
      clock: process,
      newResumeKey: () => `${member ? this.name : 'key'}-${++this.#resumeKeys}`,
      onEvent: (event) => {
        if (!isAlive()) return;
        const workerId = 'workerId' in event ? event.workerId : undefined;
        note(event, run.state.records.get(workerId ?? '')?.name);
      },
      onStep: ({ step, loss }) => {
        if (!isAlive()) return;
        note({ type: 'step', step, loss });
        onWeights(step, parts.parameterServer.weights());
        this.#noteStep(life, step + 1);
        this.#checkpoint(life, step + 1);
      },
      onGoBack: (step) => {
        if (!isAlive()) return;
        onGoBack(step, parts.parameterServer.weights());
        this.#goBack(life, step);
      },
    });
    this.#process = process;
    // A run that was resumed evaluates its last complete epoch again.
    const epochs = Math.floor((parts.firstStep ?? 0) / parts.setup.plan.stepsPerEpoch);
    const evaluated = Math.max(0, Math.min(epochs, earlyStop?.lastEpoch ?? 0) - 1);
    const life: Life = {
      ...{ process, run, parts, ledger, member, kept, epochs, evaluated },
      ...{ isEvaluating: false, timesBack: 0 },
    };
    this.#life = life;
    this.#allow(life);
    if (earlyStop) this.#evaluateNext(life, earlyStop);
    void run.outcome.then((outcome) => {
      if (isAlive()) this.outcome = outcome;
    });
    const { colocatedMs } = this.#options;
    if (colocatedMs) connectInline(run, { parts, process, computeMs: colocatedMs });
  }

  /** Keeps the weights of the epoch that the run ends with, and evaluates each epoch. */
  #noteStep(life: Life, steps: number): void {
    const { earlyStop } = this.#options;
    if (!earlyStop) return;
    const { setup, parameterServer } = life.parts;
    if (steps === earlyStop.lastEpoch * setup.plan.stepsPerEpoch) life.kept = parameterServer.weights();
    life.epochs = Math.floor(steps / setup.plan.stepsPerEpoch);
    this.#evaluateNext(life, earlyStop);
  }

  /** Forgets the epochs and checkpoints of the steps that are taken again. */
  #goBack(life: Life, step: number): void {
    const { earlyStop, note } = this.#options;
    life.timesBack += 1;
    life.epochs = Math.floor(step / life.parts.setup.plan.stepsPerEpoch);
    if (earlyStop && life.epochs < earlyStop.lastEpoch) life.kept = undefined;
    life.evaluated = Math.min(life.evaluated, life.epochs);
    life.isEvaluating = false;
    this.#allow(life);
    if (earlyStop) this.#evaluateNext(life, earlyStop);
    this.disk.remove((checkpoint) => checkpoint.step > step);
    const remains = (error: Error): void => note({ type: 'fault', text: `wrong checkpoints remain: ${error.message}` });
    void life.member?.removeAfter(step).catch(remains);
  }

  /** Lets the run finish the epoch after the next one to evaluate, as a recorder does. */
  #allow({ run, parts, evaluated }: Life): void {
    if (this.#options.earlyStop) run.allow((evaluated + 2) * parts.setup.plan.stepsPerEpoch);
  }

  #evaluateNext(life: Life, earlyStop: EarlyStop): void {
    if (life.isEvaluating || life.epochs <= life.evaluated) return;
    life.isEvaluating = true;
    const { timesBack } = life;
    life.process.after(earlyStop.evaluateMs, () => {
      if (timesBack !== life.timesBack) return;
      life.isEvaluating = false;
      life.evaluated += 1;
      if (life.evaluated === earlyStop.lastEpoch) {
        life.run.finish();
        return;
      }
      this.#allow(life);
      this.#evaluateNext(life, earlyStop);
    });
  }

  #slowReferee(process: SimulatedProcess, referee: RunOptions['referee']): RunOptions['referee'] {
    return async (...shard) => {
      // Computed with the weights of now, as in another thread: until it is done, the run may go back.
      const own = await referee(...shard);
      await new Promise<void>((resolve) => process.after(this.#options.refereeMs, resolve));
      return own;
    };
  }

  /** Copies what the next step depends on now, and writes it later, without holding up the step. */
  #checkpoint(life: Life, step: number): void {
    const { process, run, parts, ledger, member, kept, timesBack } = life;
    const { checkpointEvery, writeMs, note } = this.#options;
    if (checkpointEvery === undefined || step % checkpointEvery !== 0) return;
    const { parameterServer } = parts;
    const weights = parameterServer.weights();
    const counts = ledger?.counts() ?? new Uint8Array();
    const history = historyOf(run.state, process.nowMs());
    const checkpoint = { step, weights, optimizer: parameterServer.optimizerState(), counts, kept, history };
    const isMissing = (why: string): void =>
      note({ type: 'fault', text: `${why}: no checkpoint before step ${step + 1}` });
    process.after(writeMs, () => {
      if (timesBack !== life.timesBack) return;
      if (member) member.write(checkpoint).catch((error: Error) => isMissing(error.message));
      else if (!this.disk.write(checkpoint)) isMissing('the disk is full');
    });
  }
}
