/** A worker that fails at a task repeats the numerics check and continues; the run loses nothing. */

import { type Compute, ComputeError, createLocalCompute } from '@lockstep/compute';
import { memoryPair } from '@lockstep/protocol';
import { Session } from '@lockstep/worker/internal';
import { describe, expect, it } from 'vitest';
import { hash, hostBackend } from '../../compute/test/support.ts';
import { createProblem } from '../../sim/test/support.ts';
import type { SessionEnd } from '../../worker/src/session.ts';
import { RunFixture } from './run-fixture.ts';

const failure = new ComputeError('device-lost', 'the device was lost for a moment');

/** Makes a compute fail at one shard of a run. */
function failingAt(failing: number, compute: Compute): Compute {
  const gradient = compute.gradient.bind(compute);
  let shards = 0;
  compute.gradient = async (samples, targets, options) => {
    if (options?.shard && shards++ === failing) throw failure;
    return gradient(samples, targets, options);
  };
  return compute;
}

describe.each([
  ['gradients', undefined],
  ['inner steps', { batch: 2, learningRate: 0.05, momentum: 0.9 }],
] as const)('in a run of %s', (_, innerSteps) => {
  it.each([0, 5])(
    'a worker with cached samples that fails at shard %i passes the numerics check again',
    async (failing) => {
      const backend = await hostBackend();
      const fixture = new RunFixture(await createProblem(backend, { innerSteps, epochs: 6 }));
      const pair = memoryPair({ encode: true, schedule: (deliver) => void fixture.clock.after(1, deliver) });
      const compute = failingAt(failing, createLocalCompute(backend, fixture.clock));
      const identity = { kind: 'node', name: 'worker' } as const;
      let end: SessionEnd | undefined;
      const session = new Session({
        ...{ transport: pair.worker, compute, identity, clock: fixture.clock, hash },
        sampleCacheBytes: 2 ** 20,
      });
      void session.ended.then((value) => {
        end = value;
      });
      fixture.run.connect(pair.coordinator);
      await fixture.finish();
      await fixture.until(() => end !== undefined);
      expect(end).toMatchObject({ type: 'finished', message: 'the run has finished' });
      const { faults, records } = fixture.run.state;
      expect([faults.rejected, faults.disconnects, records.size]).toEqual([1, 0, 1]);
    },
  );
});
