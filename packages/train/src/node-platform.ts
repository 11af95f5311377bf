/** The platform of a run in a Node process, and the evaluator in a thread of its own, so that no step waits for it. */
import { createRequire } from 'node:module';
import { availableParallelism, cpus, release, totalmem, type } from 'node:os';
import { basename, resolve } from 'node:path';
import { Worker } from 'node:worker_threads';
import { openTranscript } from '@lockstep/audit';
import { concatDatasets } from '@lockstep/data';
import { loadMnist, openDataset, openDefaultText } from '@lockstep/data/node';
import type { DatasetEvaluator } from '@lockstep/nn';
import { defaultHost, identityOf, optionsAlike } from '@lockstep/prepare';
import { type Evaluated, newSecret } from '@lockstep/record';
import {
  createFolder,
  keptSecret,
  newSha256,
  openCheckpoints,
  requireCheckpointFolder,
  sha256,
} from '@lockstep/record/node';
import { bareHost, isJoinCode, isLoopback, newJoinCode, openTls, portOf, Site } from '@lockstep/server';
import { nodeThreads } from '@lockstep/tensor/node';
import { createTensorFlowCompute, prepareProcess } from '@lockstep/tfjs-node';
import { systemClock } from '@lockstep/worker';
import type { EvaluationSetup, Host, TrainingPlatform } from './training-platform.ts';

const { bun, deno, node } = process.versions;
const [engine, engineVersion] = bun ? ['Bun', bun] : deno ? ['Deno', deno] : ['Node', node];

const host: Host = {
  requireCheckpointFolder,
  async prepareNetwork(listen, checkpoint) {
    if (checkpoint?.folder !== undefined) createFolder(checkpoint.folder);
    const name = bareHost(listen.host ?? (listen.server ? portOf(listen.server).address : defaultHost));
    // A resumed run keeps its token, because its workers know no other.
    const keptToken = { checkpoint, fileName: 'join-token', isValid: isToken, create: newSecret };
    const token = listen.token ?? (isLoopback(name) ? undefined : await keptSecret(keptToken));
    const tls = listen.server ? undefined : await openTls(listen.tls, name, checkpoint);
    // Kept like the token: a tab admitted by the code knows nothing else.
    const keptCode = { checkpoint, fileName: 'join-code', isValid: isJoinCode, create: newJoinCode };
    const code = token === undefined ? undefined : await keptSecret(keptCode);
    return { listen: { ...listen, host: name }, token, code, adminToken: newSecret(), tls };
  },
  openCheckpoints: (prepared) => openCheckpoints(prepared, () => identityOf(prepared, newSha256)),
  openTranscript,
  createEvaluator: (setup, createInline) => new BackgroundEvaluator(setup, createInline),
  createSite: (emit) => new Site(emit),
};

const isToken = (token: string): boolean => /^[\w-]{22}$/.test(token);

export const nodePlatform: TrainingPlatform = {
  machine: {
    runtime: `${engine} ${engineVersion}`,
    system: `${type()} ${release()} ${process.arch}`,
    // Empty in some containers.
    processor: cpus()[0]?.model.trim() || null,
    cores: availableParallelism(),
  },
  cores: availableParallelism(),
  memoryBytes: systemMemoryBytes(),
  threads: nodeThreads,
  openTensorFlow() {
    prepareProcess();
    return createTensorFlowCompute(systemClock);
  },
  sha256,
  newSha256,
  async loadData(data, seed, model) {
    const readBy = { isDefault: data === undefined, options: { model } };
    if (data !== undefined)
      return { ...(await openDataset(data, { seed, model })), name: basename(resolve(data)), readBy };
    return model ? { ...openDefaultText({ seed, model }), readBy } : { ...(await loadMnist()), name: 'MNIST', readBy };
  },
  async loadAlike(path, { train: like, reading, label }) {
    const { names, role } = like.targets;
    const [classes, values] = role === 'index' ? [names, []] : [[], names];
    const standardization = role === 'value' ? like.targets.standardization : undefined;
    const known = { reading, samples: like.samples, classes, values, standardization };
    const { train, test } = await openDataset(path, { ...optionsAlike(known, label), testFraction: 1 });
    return train.count > 0 ? concatDatasets(train, test) : test;
  },
  host,
};

export function systemMemoryBytes(): number {
  const allowed = process.constrainedMemory();
  return allowed > 0 ? Math.min(allowed, totalmem()) : totalmem();
}

export interface EvaluationRequest {
  readonly weights: Float32Array;
  readonly hasMetrics: boolean;
}

export type EvaluationAnswer =
  /** Some of the samples have been evaluated. */
  | { readonly type: 'slice' }
  | { readonly type: 'evaluated'; readonly evaluation: Evaluated }
  | { readonly type: 'failed'; readonly message: string };

type FinalAnswer = Exclude<EvaluationAnswer, { type: 'slice' }>;

/** Even if this module runs from source, the thread runs the build. */
const program = createRequire(import.meta.url).resolve('@lockstep/train/evaluation-thread');

/** Starts its thread for the first evaluation; evaluations are requested one after another. */
export class BackgroundEvaluator implements DatasetEvaluator<Evaluated> {
  readonly #setup: EvaluationSetup;
  readonly #createInline: (reason: string) => DatasetEvaluator<Evaluated>;
  #thread: Worker | undefined;
  /** Handles the answers to the current evaluation. */
  #onAnswer: (answer: EvaluationAnswer) => void = () => {};
  /** The evaluator in this thread, after the other thread has failed. */
  #inline: DatasetEvaluator<Evaluated> | undefined;

  /** @param createInline creates an evaluator in this thread, in case the other one cannot start or dies */
  constructor(setup: EvaluationSetup, createInline: (reason: string) => DatasetEvaluator<Evaluated>) {
    this.#setup = setup;
    this.#createInline = createInline;
  }

  /** Rejects if `pause` does, and ends the thread in that case. */
  async evaluate(weights: Float32Array, pause: () => Promise<void>, hasMetrics = false): Promise<Evaluated> {
    if (!this.#inline) {
      const answer = await this.#ask({ weights, hasMetrics }, pause);
      if (answer.type === 'evaluated') return answer.evaluation;
      this.dispose();
      this.#inline = this.#createInline(answer.message);
    }
    return this.#inline.evaluate(weights, pause, hasMetrics);
  }

  dispose(): void {
    void this.#thread?.terminate();
    this.#thread = undefined;
    this.#inline?.dispose();
  }

  async #ask(request: EvaluationRequest, pause: () => Promise<void>): Promise<FinalAnswer> {
    this.#thread ??= this.#start();
    const thread = this.#thread;
    thread.ref();
    try {
      return await new Promise<FinalAnswer>((resolve, reject) => {
        this.#onAnswer = (answer) => {
          if (answer.type === 'slice') pause().catch(reject);
          else resolve(answer);
        };
        thread.postMessage(request);
      });
    } catch (error) {
      this.dispose();
      throw error;
    } finally {
      this.#onAnswer = () => {};
      // Lets the process end if it has nothing else to do.
      thread.unref();
    }
  }

  #start(): Worker {
    // Options for modules or debuggers are meant for this thread; V8's flags apply to the process anyway.
    const thread = new Worker(program, { workerData: this.#setup, execArgv: [] });
    const answered = (answer: EvaluationAnswer): void => {
      if (thread === this.#thread) this.#onAnswer(answer);
    };
    thread.on('message', answered);
    thread.on('error', ({ message }) => answered({ type: 'failed', message }));
    thread.on('exit', (code) => {
      answered({ type: 'failed', message: `its thread ended with exit code ${code}` });
      // The next evaluation starts a new thread.
      if (thread === this.#thread) this.#thread = undefined;
    });
    return thread;
  }
}
