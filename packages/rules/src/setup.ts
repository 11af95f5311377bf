/** The setup of a run: its plan, its limits, and how samples and targets travel. */

import { bytesOfField, type Dataset, fieldOf, type SampleBatch } from '@lockstep/data';
import { bytesOf, floatsOf, halfWordsFrom, type MessageOf } from '@lockstep/protocol';
import type { RunPlan } from './plan.ts';

/**
 * The workers that compute a run's steps. `fastest`: the workers with which a step is done soonest. `rotation`: in
 * addition, every other worker in turn computes one microbatch at least once an epoch.
 */
export type Participation = 'fastest' | 'rotation';

/** Everything that the rules know about a run before it begins. */
export interface RunSetup {
  readonly plan: RunPlan;
  /** The model as plain data, sent to every worker. */
  readonly model: unknown;
  /** Keys the random choices of the model, such as dropout; 0 by default. */
  readonly seed?: number;
  /** Type and shape of all samples and targets. */
  readonly format: DataFormat;
  /** Bytes of a sample and its target, if workers may cache samples; by default every task carries its own samples. */
  readonly sampleBytes?: number;
  readonly limits: Limits;
  /**
   * Fraction of the shards of workers with a record, 0 to 1, that the coordinator computes as well, to check their
   * results; 0 by default. Of other workers it checks more, unless this is 0.
   */
  readonly verifyRate?: number;
  /** Chooses the checked shards; an unsigned 32-bit number that workers cannot know. */
  readonly verifySalt?: number;
  /** Earlier states that the run has memory to keep, besides its beginning; none by default. */
  readonly keptStates?: number;
  /** Hash of the coordinator's own gradient of the numerics check. */
  readonly refereeHash?: string;
  /** The coordinator's own numeric mode. */
  readonly refereeMode?: string;
  /** Secret that a client must know to join; by default any client that reaches the socket may join. */
  readonly token?: string | undefined;
  /** The run begins when this many workers are ready … */
  readonly startWorkers: number;
  /** … or when one is ready and this time has passed since the first socket opened. */
  readonly startWithinMs: number;
  /** Whether the run is paused from the beginning, until `start`. */
  readonly waitForStart?: boolean;
  /** The workers that compute; `fastest` by default. */
  readonly participation?: Participation;
  /** Whether faults may be injected into workers. */
  readonly faultInjection?: boolean;
  /** Whether workers are told at the end to reconnect for another run. */
  readonly anotherMayFollow?: boolean;
  /**
   * Whether this is a relay's run: a coordinator above asks for shards one by one, and the run takes no steps. Its
   * workers must reproduce the bits of the relay's numerics check, since the sum that it sends has one numeric mode.
   */
  readonly isRelay?: boolean;
  /** Other addresses at which workers may join with the same token; sent to workers when they join. */
  readonly addresses?: readonly string[];
}

/** Time-outs and limits of a run. */
export interface Limits {
  /** A socket that has not sent a `hello` by then is closed. */
  readonly handshakeMs: number;
  /** A worker that has not sent a numerics result by then is disconnected; a GPU may have to compile kernels first. */
  readonly numericsCheckMs: number;
  readonly heartbeatMs: number;
  /** A worker that has been silent for longer is disconnected. */
  readonly deadMs: number;
  /** Minimum time before a late shard is assigned to an idle worker as well … */
  readonly softDeadlineMs: number;
  /** … and the same bound as a multiple of the expected time of the worker's shards; the later one holds. */
  readonly softFactor: number;
  /** Minimum time before a late worker is disconnected; `hardFactor` works like `softFactor`. */
  readonly hardDeadlineMs: number;
  readonly hardFactor: number;
  /** Time within which a worker may return under its old identity. */
  readonly resumeMs: number;
  /** Task errors in a row after which a worker is disconnected. */
  readonly maxTaskErrors: number;
  readonly maxWorkers: number;
  /** Less than `maxWorkers`, so that one address cannot take all places. */
  readonly maxWorkersPerAddress: number;
  readonly maxFrameBytes: number;
  /** Bytes of float32 values in a chunk of a vector. */
  readonly chunkBytes: number;
}

export const defaultLimits: Limits = {
  handshakeMs: 5_000,
  numericsCheckMs: 30_000,
  heartbeatMs: 2_000,
  deadMs: 15_000,
  softDeadlineMs: 250,
  softFactor: 3,
  hardDeadlineMs: 5_000,
  hardFactor: 10,
  resumeMs: 30_000,
  maxTaskErrors: 3,
  maxWorkers: 512,
  maxWorkersPerAddress: 320,
  maxFrameBytes: 64 * 1024 * 1024,
  chunkBytes: 512 * 1024,
};

/**
 * Bytes of a chunk if all workers are on the coordinator's machine, where no message waits long for a vector. Two of
 * these fit into the memory through which frames pass.
 */
export const localChunkBytes = 4_000_000;

/** Bytes of a message besides the numbers of a vector. */
const messageOverheadBytes = 64 * 1024;

/** The limits of a run, whose messages are as long as a chunk of the model's vectors needs. */
export function limitsFor(parameters: number, bounds: Partial<Limits> = {}): Limits {
  const { chunkBytes } = { ...defaultLimits, ...bounds };
  const maxFrameBytes = Math.min(parameters * 4, chunkBytes) + messageOverheadBytes;
  return { ...defaultLimits, maxFrameBytes, ...bounds };
}

/** Layout of samples and targets in messages. */
export type DataFormat = Pick<MessageOf<'welcome'>, 'sampleField' | 'targetField'>;

export function formatOf({ samples, targets }: Pick<Dataset, 'samples' | 'targets'>): DataFormat {
  return { sampleField: fieldOf(samples), targetField: fieldOf(targets) };
}

type BatchBytes = Pick<MessageOf<'task'>, 'count' | 'samples' | 'targets'>;

/** Returns views of the batch's memory, without copying. */
export function encodeBatch({ samples, targets, count }: SampleBatch): BatchBytes {
  return { count, samples: bytesOf(samples), targets: bytesOf(targets) };
}

/** Reads little-endian numbers, as a view if the alignment allows it. */
const views = { u8: (bytes: Uint8Array) => bytes, u16: halfWordsFrom, f32: floatsOf };

/** Decodes a batch, as views if the alignment allows it. @throws Error if samples or targets have another size */
export function decodeBatch(format: DataFormat, { count, samples, targets }: BatchBytes): SampleBatch {
  const { sampleField, targetField } = format;
  const fits =
    samples.length === count * bytesOfField(sampleField) && targets.length === count * bytesOfField(targetField);
  if (!fits) {
    const [x, y] = [sampleField, targetField].map(({ dtype, shape }) =>
      shape.length === 0 ? dtype : `${dtype} [${shape.join(', ')}]`,
    );
    const got = `${samples.length} and ${targets.length} bytes`;
    throw new Error(`task: expected ${count} samples of ${x} and targets of ${y}, got ${got}`);
  }
  return {
    count,
    samples: views[sampleField.dtype](samples),
    targets: views[targetField.dtype](targets),
  };
}
