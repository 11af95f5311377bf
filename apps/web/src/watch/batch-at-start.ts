/** The batch that an automatic choice would give if the run started now, with the workers that are ready. */
import { batchForWorkers } from '@lockstep/rules';
import { counted, whole } from '../look/format.ts';
import type { RunStore } from './run-store.ts';

export interface BatchAtStart {
  /** Undefined while no worker is ready. */
  readonly batch: number | undefined;
  readonly text: string;
}

/** Returns undefined if the batch is fixed or the run is over. */
export function batchAtStart({
  run,
  workers,
  isOver,
}: Pick<RunStore, 'run' | 'workers' | 'isOver'>): BatchAtStart | undefined {
  const { planAtStart, samples } = run.value ?? {};
  if (!planAtStart || samples === undefined || isOver.value) return undefined;
  const ready = workers.value.filter(({ phase }) => phase === 'ready').length;
  if (ready === 0) return { batch: undefined, text: 'The batch is made for the workers that are ready at the start.' };
  const { microbatchSize } = planAtStart;
  const most = Math.floor(samples / (microbatchSize ?? 1));
  const { batch } = batchForWorkers({ ...planAtStart, samples, workers: Math.min(ready, most) });
  return { batch, text: `${counted(ready, 'worker')}: batch ${whole(batch)}` };
}
