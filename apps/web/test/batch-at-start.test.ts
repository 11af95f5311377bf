/** Checks that the batch that the page announces is the one that the coordinator chooses at the start. */
import { batchForWorkers } from '@lockstep/rules';
import { signal } from '@preact/signals';
import { expect, it } from 'vitest';
import type { RunStore } from '../src/watch/run-store.ts';
import { batchAtStart } from '../src/watch/run-texts.ts';

type Store = Pick<RunStore, 'run' | 'workers' | 'isOver'>;

function store(ready: number, planAtStart: object | undefined, isOver = false): Store {
  const workers = [{ phase: 'checking' }, ...Array.from({ length: ready }, () => ({ phase: 'ready' }))];
  return {
    run: signal({ samples: 1000, ...(planAtStart && { planAtStart }) }),
    workers: signal(workers),
    isOver: signal(isOver),
  } as unknown as Store;
}

it.each([1, 2, 24, 100, 900])('for %i workers that are ready', (workers) => {
  const usualBatch = 64;
  const { batch } = batchForWorkers({ samples: 1000, workers, usualBatch });
  const said = batchAtStart(store(workers, { usualBatch }));
  expect(said?.batch).toBe(batch);
  expect(said?.text.replace(',', '')).toBe(`${workers} worker${workers === 1 ? '' : 's'}: batch ${batch}`);
});

it('counts no more workers than there are microbatches', () => {
  const planAtStart = { usualBatch: 64, microbatchSize: 10 };
  expect(batchAtStart(store(200, planAtStart))?.batch).toBe(1000);
});

it('knows no batch before a worker is ready, and says nothing of a fixed one or of a run that is over', () => {
  expect(batchAtStart(store(0, { usualBatch: 64 }))).toEqual({
    batch: undefined,
    text: 'The batch will be sized for the workers that are ready at the start.',
  });
  expect(batchAtStart(store(3, undefined))).toBeUndefined();
  expect(batchAtStart(store(3, { usualBatch: 64 }, true))).toBeUndefined();
});
