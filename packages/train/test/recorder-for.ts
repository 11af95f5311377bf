/** Records a test's run, without evaluations. */

import { systemClock } from '@lockstep/worker';
import type { Run } from '../src/coordinator/run.ts';
import type { Prepared } from '../src/prepared.ts';
import { Recorder } from '../src/record/recorder.ts';

/** @param run returns the run, which may be created later */
export function recorderFor({ plan, test }: Pick<Prepared, 'plan' | 'test'>, run: () => Run): Recorder {
  return new Recorder({
    plan,
    targetType: test.targets.type,
    evaluator: { evaluate: () => new Promise(() => {}), dispose() {} },
    weights: () => new Float32Array(),
    run,
    nowMs: systemClock.nowMs,
    pause: async () => {},
    signal: new AbortController().signal,
    emit: () => {},
  });
}
