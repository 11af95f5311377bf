/** The Node process or the page in which a run is trained, with the files, threads and sockets that only Node has. */

import type { Transcriber } from '@lockstep/audit';
import { createLocalCompute } from '@lockstep/compute';
import { errorMessage } from '@lockstep/data/shown';
import type { DatasetEvaluator } from '@lockstep/nn';
import type { Measured, Platform, Prepared, PreparingHost } from '@lockstep/prepare';
import type { Evaluated, TrainingEvent } from '@lockstep/record';
import type { OpenedCheckpoints } from '@lockstep/record/node';
import type { Site } from '@lockstep/server';
import { isHostBackend, openBackend } from '@lockstep/tensor';
import { type ComputeChoice, configurationError, optionName, systemClock } from '@lockstep/worker';

export interface TrainingPlatform extends Platform {
  /** Undefined in a page. */
  readonly host: Host | undefined;
}

/** Files, threads and sockets of a run. */
export interface Host extends PreparingHost {
  /** Undefined in a run without checkpoints. */
  openCheckpoints(prepared: Prepared): Promise<OpenedCheckpoints | undefined>;
  /** Undefined in a run without a transcript. @throws ConfigurationError if it cannot be continued */
  openTranscript(prepared: Prepared, checkpoints: OpenedCheckpoints | undefined): Promise<Transcriber | undefined>;
  /** @param createInline creates an evaluator in this thread if no other thread can evaluate */
  createEvaluator(
    setup: EvaluationSetup,
    createInline: (reason: string) => DatasetEvaluator<Evaluated>,
  ): DatasetEvaluator<Evaluated>;
  /** Creates a place for a server and its local workers; nothing is open yet. */
  createSite(emit: (event: TrainingEvent) => void): Site;
}

/** Setup of an evaluation thread. */
export interface EvaluationSetup extends Measured {
  /** The name of a host backend. */
  readonly backend: string;
  readonly threads: number;
}

/**
 * Opens a computer for shards besides the run's own backend, with a line that explains the choice.
 * @throws ConfigurationError if the choice does not compute in this process
 */
export async function openInlineCompute(platform: TrainingPlatform, name: ComputeChoice, threads: number) {
  try {
    if (name === 'tfjs-node') {
      const compute = await platform.openTensorFlow?.();
      if (compute) return { compute, choice: 'computing on tfjs-node' };
    } else {
      const { backend, choice } = await openBackend(name, platform.threads(threads));
      if (isHostBackend(backend)) return { compute: createLocalCompute(backend, systemClock), choice };
    }
  } catch (error) {
    throw configurationError`${optionName('backend', name)}: ${errorMessage(error)}`;
  }
  throw configurationError`${optionName('backend', name)}: expected one that computes in this ${platform.host ? 'process' : 'thread'}`;
}
