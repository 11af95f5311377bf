import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { columns } from '../src/panels/workers.tsx';
import { nextOrder, sortedRows, type ViewColumn } from '../src/view/table.tsx';
import type { WorkerRow } from '../src/watch/status.ts';

const row: fc.Arbitrary<WorkerRow> = fc.record({
  id: fc.string(),
  name: fc.string(),
  kind: fc.constantFrom('browser' as const, 'node' as const, 'local' as const, 'relay' as const),
  backend: fc.constantFrom('cpu', 'webgl'),
  threads: fc.integer({ min: 1, max: 4 }),
  phase: fc.constant('ready' as const),
  hidden: fc.boolean(),
  share: fc.double({ min: 0, max: 1, noNaN: true }),
  shards: fc.nat(),
  samples: fc.nat(),
  computeMs: fc.nat(),
  sendMs: fc.nat(),
  waitMs: fc.nat(),
  health: fc.constantFrom('good' as const, 'idle' as const, 'late' as const, 'finished' as const, 'gone' as const),
  samplesPerSecond: fc.nat(),
});
const all = Object.values<ViewColumn<WorkerRow>>(columns).filter(isSortable);

function isSortable(column: ViewColumn<WorkerRow>): column is Required<ViewColumn<WorkerRow>> {
  return column.value !== undefined;
}

describe('the table of workers', () => {
  it('is in the order of any column, both ways, with all its rows', () => {
    fc.assert(
      fc.property(fc.array(row), fc.constantFrom(...all), (workers, { title, isNumber, value }) => {
        const first = nextOrder(undefined, title);
        const second = nextOrder(first, title);
        expect(nextOrder(second, title)).toBeUndefined();
        const values = (order: typeof first) => sortedRows(all, workers, order).map(value);
        const ascending = workers.map(value).sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
        const orders = [values(first), values(second)];
        expect(orders).toEqual(isNumber ? [ascending.toReversed(), ascending] : [ascending, ascending.toReversed()]);
        expect(sortedRows(all, workers, undefined)).toBe(workers);
      }),
    );
  });

  it('gives no time for a worker that has not computed yet', () => {
    const [worker] = fc.sample(row, 1);
    const joined = { ...worker!, health: 'idle', computeMs: 0, sendMs: 0, waitMs: 0 } as const;
    const times = (worker: WorkerRow) => [columns.compute, columns.link, columns.wait].map(({ text }) => text(worker));
    expect(times(joined)).toEqual(['–', '–', '–']);
    expect(times({ ...joined, computeMs: 1.5 })).toEqual(['1.50', '0.00', '0.00']);
  });

  it('says why a worker is idle', () => {
    const [worker] = fc.sample(row, 1);
    const idle = { ...worker!, health: 'idle', idle: 'slow', hidden: true } as const;
    expect(columns.health.text(idle)).toBe('idle, too slow, hidden');
  });

  it('says how many workers stand behind a relay', () => {
    const [worker] = fc.sample(row, 1);
    const text = (workersBehind: number): string => columns.kind.text({ ...worker!, kind: 'relay', workersBehind });
    expect([text(1), text(12)]).toEqual(['Relay of 1 worker', 'Relay of 12 workers']);
  });
});
