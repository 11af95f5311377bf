/** Recorded runs for audits: real ones, and ones in which a worker or the coordinator lies. */
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createShardSource, InlineGradient } from '@lockstep/compute';
import { classTargets, type Dataset } from '@lockstep/data';
import { createRun, identityOf, prepare } from '@lockstep/prepare';
import { newSha256 } from '@lockstep/record/node';
import { type Shard, shardsOfRange, type WorkerRecord } from '@lockstep/rules';
import { openBackend } from '@lockstep/tensor';
import { systemClock } from '@lockstep/worker';
import { type StoredState, type TrainOptions, train } from '../../train/src/index.ts';
import { nodePlatform } from '../../train/src/node-platform.ts';
import type { TranscriptEnd } from '../src/format.ts';
import { Replay } from '../src/replay.ts';
import { Transcriber } from '../src/transcriber.ts';

/** Trains with a transcript in the folder. */
export async function recordRun(folder: string, options: TrainOptions, name = 'run.transcript') {
  const file = join(folder, name);
  const result = await train({ ...options, transcript: file }).result;
  return { file, result, bytes: readFileSync(file) };
}

/** Lies of a run's workers and of its coordinator. */
export interface Lies {
  /** Changes the sum of a shard of a step before it is recorded and added. */
  readonly sum?: (step: number, shard: Shard, sum: Float32Array) => void;
  /** Changes the weights after a step. */
  readonly weights?: (step: number, weights: Float32Array) => unknown;
  /** Changes the momentum after a step. */
  readonly velocity?: (step: number, velocity: Float32Array) => unknown;
  /** The shard that is recorded and added in place of one; undefined if that is left out. */
  readonly recordedAs?: (step: number, shard: Shard) => Shard | undefined;
  /** The samples that the run trains on. */
  readonly train?: Dataset;
  /** Number of steps from one sealed state to the next. */
  readonly sealEvery?: number;
  /** Names of the workers, before their numbers; by default `name`. */
  readonly workers?: string;
  /** Numerics hash of a worker; by default the coordinator's. */
  readonly numericsHash?: (number: number) => string | undefined;
  /** Numerics hash of the coordinator; by default this machine's. */
  readonly coordinatorHash?: string;
  /** How the run says that it ended, if it lies about that. */
  readonly end?: Partial<TranscriptEnd>;
  /** Goes back to a step, after the step `from`. */
  readonly back?: { readonly from: number; readonly to: number };
}

export interface ForgedRun {
  readonly bytes: Uint8Array;
  /** States after every step, from 0 on. */
  readonly states: readonly StoredState[];
  readonly publicKey: string;
}

export type Forge = Awaited<ReturnType<typeof openForge>>;

/** A coordinator whose transcripts a test writes step by step. */
export async function openForge(options: TrainOptions, lies: Pick<Lies, 'train' | 'coordinatorHash'> = {}) {
  const prepared = await prepare(options, nodePlatform);
  const { plan, model, config } = prepared;
  const { backend } = await openBackend('auto');
  // Only its numerics are of interest.
  const { run, parameterServer } = await createRun({ prepared, platform: nodePlatform, backend, startWorkers: 1 });
  const { refereeHash: numericsHash = '', refereeMode: numericMode = '' } = run.state.setup;
  run.stop('forged');
  const dataset = lies.train ?? prepared.train;
  const samples = createShardSource(dataset, plan, config.seed, config.augment);
  const inline = new InlineGradient({
    ...{ parameterServer, model, plan, dataset, samples, seed: config.seed, clock: systemClock, addsWhole: true },
    numerics: { hash: numericsHash, samplesPerMs: 0 },
  });
  const replay = new Replay({ plan, backend, server: parameterServer, inline });
  const identity = identityOf(prepared, newSha256);
  const { coordinatorHash = numericsHash } = lies;
  const recorded = { parameterServer, numericMode, numericsHash: coordinatorHash, warn: expectNothing };
  /** Begins a transcript with a key of its own. */
  const begin = (given: Omit<ConstructorParameters<typeof Transcriber>[0], 'privateKey' | 'header'>) => {
    const { privateKey, publicKey: key } = generateKeyPairSync('ed25519');
    const publicKey = Buffer.from(key.export({ format: 'jwk' }).x!, 'base64url').toString('hex');
    const who = { lockstep: 'test', publicKey, leader: given.store?.name };
    const header = { ...who, identity, steps: plan.steps, data: { name: null } };
    const transcriber = new Transcriber({ ...given, privateKey, header });
    transcriber.begin(recorded);
    return { transcriber, publicKey };
  };
  return { plan, replay, begin, numericMode, numericsHash };
}

/** Takes a step, of which the workers w1, w2, … compute a microbatch each, and records what they answer. */
export async function forgeStep(forge: Forge, transcriber: Transcriber, lies: Lies = {}): Promise<void> {
  const { plan, replay, numericMode, numericsHash } = forge;
  const { step } = replay;
  const all = shardsOfRange(0, plan.microbatches).flatMap(({ lo, n }) => microbatchesOf(lo, n));
  const sums = new Map<number, Float32Array>();
  for (const [index, shard] of all.entries()) {
    const other = lies.numericsHash?.(index + 1);
    const mode = other === undefined ? numericMode : 'another mode';
    const worker = workerRecord(index + 1, mode, other ?? numericsHash, lies.workers);
    const recorded = lies.recordedAs ? lies.recordedAs(step, shard) : shard;
    await replay.add(shard, (sum) => {
      lies.sum?.(step, shard, sum);
      if (!recorded) {
        sum.fill(0);
        return;
      }
      sums.set(recorded.lo, sums.get(recorded.lo) ?? sum.slice());
      sum.set(sums.get(recorded.lo)!);
      transcriber.add({ ...recorded, step }, worker, sum);
    });
  }
  replay.advance();
  const { weights, optimizer } = replay.view;
  lies.weights?.(step, weights);
  lies.velocity?.(step, Object.values(optimizer.slots)[0]!);
  transcriber.stepped(step);
}

/** Ends the transcript of a run that took all its steps. */
export async function endForged(
  { plan, replay }: Forge,
  transcriber: Transcriber,
  end: Lies['end'] = {},
): Promise<void> {
  const { weightsSha256 } = replay.sealed;
  await transcriber.end({ outcome: 'finished', step: plan.steps, weightsSha256, ...end });
}

/** Records a whole run in the folder: what a dishonest coordinator, or one that does not check, writes. */
export async function forgeRun(
  folder: string,
  options: TrainOptions,
  lies: Lies = {},
  name = 'forged',
): Promise<ForgedRun> {
  const file = join(folder, name);
  const forge = await openForge(options, lies);
  const { plan, replay } = forge;
  const { transcriber, publicKey } = forge.begin({ file, firstStep: 0 });
  const states = [replay.state];
  let back = lies.back;
  while (replay.step < plan.steps) {
    const { step } = replay;
    await forgeStep(forge, transcriber, lies);
    states[step + 1] = replay.state;
    if (lies.sealEvery !== undefined && replay.step % lies.sealEvery === 0) transcriber.sealForCheckpoint();
    if (back?.from === step) {
      transcriber.goBack(back.to);
      replay.restore(states[back.to]!);
      back = undefined;
    }
  }
  await endForged(forge, transcriber, lies.end);
  const stored = states.map((state) => ({ step: state.step, read: async () => state }));
  return { bytes: Uint8Array.from(readFileSync(file)), states: stored, publicKey };
}

function microbatchesOf(lo: number, n: number): Shard[] {
  return Array.from({ length: n }, (_, index) => ({ lo: lo + index, n: 1 }));
}

function expectNothing(line: string): never {
  throw new Error(line);
}

function workerRecord(number: number, numericMode: string, numericsHash: string, workers = 'name'): WorkerRecord {
  const work = { shards: 0, samples: 0, computeMs: 0, readyMs: 0 };
  const id = { id: `w${number}`, resumeKey: '', name: `${workers} ${number}`, kind: 'node', backend: 'cpu' } as const;
  return { ...id, numericMode, numericsHash, threads: 1, ...work };
}

/** The same samples, each with the target of the one before it. */
export function shiftedTargets(dataset: Dataset): Dataset {
  const { targets } = dataset;
  if (targets.role !== 'index') throw new Error(`expected classes, got ${targets.role}`);
  const values = Uint16Array.from(targets.values, (_, index) => targets.values.at(index - 1)!);
  return { ...dataset, targets: classTargets(values, targets.names) };
}

/** Flips one bit of a value, by default of the third from the end, which in a sum is the last of the gradient. */
export function flipBit(values: Float32Array, bit = 26, at = values.length - 3): void {
  new Uint32Array(values.buffer, values.byteOffset, values.length)[at]! ^= 2 ** bit;
}

/** Changes the sum of the shard of one step that begins with this microbatch. */
export function at(lie: number, first: number, change: (sum: Float32Array) => void): NonNullable<Lies['sum']> {
  return (step, { lo }, sum) => {
    if (step === lie && lo === first) change(sum);
  };
}

/** How a finding names a worker of a forged run. */
export const worker = (number: number): string => `w${number} name ${number}`;
