/** Copies a run between two steps: all that the next step and the report depend on. */
import { type Checkpoint, type Report, type RunIdentity, systemClock } from '@lockstep/train';
import { historyOf, type ParameterServer, type Run } from '@lockstep/training';
import type { RunObserver } from '../run-observer.ts';

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
