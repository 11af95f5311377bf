import type { RelayEvent } from '@lockstep/train';
import { expect, it } from 'vitest';
import { RelayLines } from '../src/relay-lines.ts';

const linesOf = (events: readonly RelayEvent[]): string[] => {
  const lines = new RelayLines();
  return events.flatMap((event) => lines.of(event));
};

it('says once that it waits for workers, and again after one was there', () => {
  const idle = { type: 'idle' } as const;
  const joined = { type: 'joined', id: 'w1', returned: true } as const;
  expect(linesOf([idle, idle, joined, idle])).toEqual(['waiting for workers']);
  expect(linesOf([idle, { type: 'ready' }, idle])).toEqual(['waiting for workers', 'waiting for workers']);
});
