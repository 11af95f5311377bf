/** A coordinator in virtual time: it writes checkpoints, crashes, and comes back from the newest one that it can read. */
import type { CoordinatorTransport } from '@lockstep/protocol';
import type { Clock } from '../clock.ts';
import { Run } from '../coordinator/run.ts';
import type { RunOptions, RunOutcome } from '../coordinator/run-options.ts';
import type { CoordinatorState } from '../coordinator/state.ts';
import type { Happening } from './chronicle.ts';
import type { Checkpoint, Problem, RunParts } from './problem.ts';
import type { SampleLedger } from './sample-ledger.ts';
import { SimulatedDisk } from './simulated-disk.ts';
import { SimulatedProcess } from './simulated-process.ts';

export interface CoordinatorOptions {
  readonly clock: Clock;
  readonly run: RunParts;
  readonly ledger?: SampleLedger | undefined;
  /** Makes the run anew after a crash. */
  readonly resume?: Problem['resume'] | undefined;
  /** Steps between two checkpoints; none is written where left out. */
  readonly checkpointEvery?: number | undefined;
  /** Virtual time that writing a checkpoint takes. */
  readonly writeMs: number;
  /** Virtual time that the coordinator's own computation of a shard takes. */
  readonly refereeMs: number;
  readonly note: (happening: Happening) => void;
}

/** One life of the coordinator, from its start to its crash or to the end of the run. */
interface Life {
  readonly process: SimulatedProcess;
  readonly run: Run;
  readonly parts: RunParts;
  readonly ledger: SampleLedger | undefined;
}

export class SimulatedCoordinator {
  readonly disk = new SimulatedDisk<Checkpoint>();
  outcome: RunOutcome | undefined;
  /** The last states of the lives that ended in a crash. */
  readonly crashed: CoordinatorState[] = [];
  readonly #options: CoordinatorOptions;
  #life: Life | undefined;
  #transports: CoordinatorTransport[] = [];
  #resumeKeys = 0;

  constructor(options: CoordinatorOptions) {
    this.#options = options;
    this.#start(options.run, options.ledger);
  }

  /** The process that runs now; undefined while there is none. */
  get process(): SimulatedProcess | undefined {
    return this.#life?.process;
  }

  get state(): CoordinatorState | undefined {
    return this.#life?.run.state;
  }

  get parts(): RunParts | undefined {
    return this.#life?.parts;
  }

  /** The first sample that was counted not at all or twice, in words. */
  get sampleFault(): string | undefined {
    return this.#life?.ledger?.fault;
  }

  get canCrash(): boolean {
    return this.#options.resume !== undefined && this.#life !== undefined;
  }

  accept(transport: CoordinatorTransport, address: string): void {
    this.#transports.push(transport);
    this.#life?.run.connect(transport, address);
  }

  /** Ends it as `kill -9` does, and starts it again after so long. What it was writing is lost. */
  crash(downMs: number): void {
    const { clock, resume } = this.#options;
    if (!this.#life || !resume) return;
    this.#life.process.kill();
    this.crashed.push(this.#life.run.state);
    this.#life = undefined;
    clock.after(downMs, () => {
      const checkpoint = this.disk.newest();
      const { run, ledger } = resume(checkpoint);
      const from = checkpoint ? `from the checkpoint before step ${checkpoint.step + 1}` : 'anew';
      this.#options.note({ type: 'fault', text: `the coordinator starts again, ${from}` });
      this.#start(run, ledger);
    });
  }

  #start(parts: RunParts, ledger: SampleLedger | undefined): void {
    const { clock, note } = this.#options;
    const process = new SimulatedProcess(clock);
    const isAlive = (): boolean => !process.isDead;
    const run = new Run({
      ...parts,
      referee: this.#slowReferee(process, parts.referee),
      clock: process,
      newResumeKey: () => `key-${++this.#resumeKeys}`,
      onEvent: (event) => {
        if (isAlive()) note(event);
      },
      onStep: ({ step, loss }) => {
        note({ type: 'step', step, loss });
        this.#checkpoint(process, parts, ledger, step + 1);
      },
    });
    this.#life = { process, run, parts, ledger };
    void run.outcome.then((outcome) => {
      if (isAlive()) this.outcome = outcome;
    });
  }

  #slowReferee(process: SimulatedProcess, referee: RunOptions['referee']): RunOptions['referee'] {
    return async (...shard) => {
      await new Promise<void>((resolve) => process.after(this.#options.refereeMs, resolve));
      return referee(...shard);
    };
  }

  /** Copies what the next step depends on now, and writes it later, out of the step's way. */
  #checkpoint(process: SimulatedProcess, parts: RunParts, ledger: SampleLedger | undefined, step: number): void {
    const { checkpointEvery, writeMs, note } = this.#options;
    if (checkpointEvery === undefined || step % checkpointEvery !== 0) return;
    const { parameterServer } = parts;
    const weights = parameterServer.weights();
    const counts = ledger?.counts() ?? new Uint8Array();
    const checkpoint = { step, weights, optimizer: parameterServer.optimizerState(), counts };
    process.after(writeMs, () => {
      if (this.disk.write(checkpoint)) return;
      note({ type: 'fault', text: `the disk is full: no checkpoint before step ${step + 1}` });
    });
  }
}
