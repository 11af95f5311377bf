/** The columns of the table of workers. */
import { backendLabel } from '../join/backends.ts';
import { millisecondsText, percent, whole } from '../look/format.ts';
import { idleTexts, type ShownWorker } from '../watch/status.ts';
import type { Column, Columns } from './table-order.ts';

const kindTitles: Readonly<Record<ShownWorker['kind'], string>> = {
  browser: 'Tab',
  node: 'Node',
  local: 'Local',
  relay: 'Relay',
};

/** Workers that need attention come first. */
const healthOrder: readonly ShownWorker['health'][] = ['unknown', 'late', 'idle', 'good', 'finished', 'gone'];

function healthText({ health, idle, hidden }: ShownWorker): string {
  const texts = [health, ...(idle === undefined ? [] : [idleTexts[idle]]), ...(hidden ? ['hidden'] : [])];
  return texts.join(', ');
}

function kindText({ kind, workersBehind }: ShownWorker): string {
  if (workersBehind === undefined) return kindTitles[kind];
  return `${kindTitles[kind]} of ${workersBehind} worker${workersBehind === 1 ? '' : 's'}`;
}

function milliseconds(title: string, value: (worker: ShownWorker) => number): Column<ShownWorker> {
  return { title, unit: 'ms', isNumber: true, value, text: (worker) => millisecondsText(value(worker)) };
}

/** Whether the worker is known to be connected. */
export function isConnected({ health }: ShownWorker): boolean {
  return health !== 'gone' && health !== 'finished' && health !== 'unknown';
}

/** Ordered by importance, for narrow screens. */
export const columns = {
  name: { title: 'Worker', value: ({ name }) => name.toLowerCase(), text: ({ name }) => name },
  health: { title: 'Health', value: ({ health }) => healthOrder.indexOf(health), text: healthText },
  share: { title: 'Share', isNumber: true, value: ({ share }) => share, text: ({ share }) => percent(share, 1) },
  speed: {
    title: 'Samples/s',
    isNumber: true,
    value: ({ samplesPerSecond }) => samplesPerSecond,
    text: ({ samplesPerSecond }) => whole(samplesPerSecond),
  },
  kind: { title: 'Kind', value: ({ kind }) => kindTitles[kind], text: kindText },
  backend: {
    title: 'Computes on',
    value: ({ backend }) => backendLabel(backend),
    text: ({ backend, threads }) => `${backendLabel(backend)}${threads > 1 ? `, ${threads} threads` : ''}`,
  },
  compute: milliseconds('Compute', ({ computeMs }) => computeMs),
  link: milliseconds('Link', ({ sendMs }) => sendMs),
  wait: milliseconds('Wait', ({ waitMs }) => waitMs),
} as const satisfies Columns<string, ShownWorker>;

export type ColumnName = keyof typeof columns;
