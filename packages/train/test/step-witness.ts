/** A worker inside the test that records the steps it computes, and reconnects as every worker does. */
import { type JoinedWorker, join } from '@lockstep/worker';

export interface StepWitness {
  /** The step of the worker's last result. */
  readonly lastStep: () => number;
  /** Resolves when the worker computes this step or a later one. */
  readonly reached: (step: number) => Promise<void>;
  readonly ended: JoinedWorker['done'];
}

export function openStepWitness(url: string): StepWitness {
  const worker = join(url, { name: 'witness', backend: 'cpu' });
  let last = -1;
  const waiting = new Set<() => void>();
  const follow = async (): Promise<void> => {
    for await (const event of worker) {
      if (event.type !== 'computed') continue;
      last = event.step - 1;
      for (const check of [...waiting]) check();
    }
  };
  follow().catch(() => {});
  return {
    lastStep: () => last,
    reached: (step) =>
      new Promise((resolve) => {
        const check = (): void => {
          if (last < step) return;
          waiting.delete(check);
          resolve();
        };
        // Counts only steps from now on: earlier ones were in the run of an earlier process.
        waiting.add(check);
      }),
    ended: worker.done,
  };
}
