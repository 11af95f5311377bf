/** A worker inside the test that records the steps it computes, and reconnects as every worker does. */
import { type JoinedWorker, join } from '@lockstep/worker';
import { Changes } from '../../protocol/test/changes.ts';

export interface StepWitness {
  /** The step of the worker's last result. */
  readonly lastStep: () => number;
  /** Resolves when the worker computes this step or a later one. */
  readonly reached: (step: number) => Promise<void>;
  readonly ended: JoinedWorker['done'];
  /** Whether the coordinator has ever cut the worker for a late result. */
  readonly wasLate: () => boolean;
  /** Leaves the run; resolves once the worker has ended. */
  readonly leave: () => Promise<void>;
}

export async function openStepWitness(url: string): Promise<StepWitness> {
  const worker = join(url, { name: 'witness', backend: 'cpu' });
  const changes = new Changes();
  let [last, results] = [-1, 0];
  let wasLate = false;
  const follow = async (): Promise<void> => {
    for await (const event of worker) {
      if (event.type === 'lost' && event.message === 'no result before its deadline') wasLate = true;
      if (event.type !== 'computed') continue;
      last = event.step - 1;
      results += 1;
      changes.noted();
    }
  };
  follow().catch(() => {});
  return {
    lastStep: () => last,
    async reached(step) {
      // Counts only steps from now on: earlier ones were in the run of an earlier process.
      const before = results;
      await changes.until(() => results > before && last >= step);
    },
    ended: worker.done,
    wasLate: () => wasLate,
    leave: () => worker.leave(),
  };
}
