/** Copies a run between two steps: all that the next step and the report depend on. */

import { historyOf, type ParameterServer, type Run } from '@lockstep/training';
import { systemClock } from '@lockstep/worker';
import type { Report } from '../report/report.ts';
import type { RunObserver } from '../run/run-observer.ts';
import type { Checkpoint, RunIdentity } from './checkpoint.ts';

export interface CopyOptions {
  readonly identity: RunIdentity;
  readonly run: Run;
  readonly parameterServer: ParameterServer;
  readonly observer: RunObserver;
  /** Bytes of the whole run so far. */
  readonly wire: Report['wire'];
}

export function copyRun({ identity, run, parameterServer, observer, wire }: CopyOptions): Checkpoint {
  const { progress, unevaluated } = observer.state();
  return {
    step: run.state.current.step,
    identity,
    weights: parameterServer.weights(),
    optimizer: parameterServer.optimizerState(),
    progress: { ...progress, wire },
    history: historyOf(run.state, systemClock.nowMs()),
    unevaluated,
  };
}
