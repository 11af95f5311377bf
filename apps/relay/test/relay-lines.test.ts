import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RelayEvent } from '@lockstep/train';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { RelayLines } from '../src/relay-lines.ts';

const linesOf = (events: readonly RelayEvent[], addressFile?: string): string[] => {
  const lines = new RelayLines(addressFile);
  return events.flatMap((event) => lines.of(event));
};

it('says once that it waits for workers, and again after one was there', () => {
  const idle = { type: 'idle' } as const;
  const joined = { type: 'joined', id: 'w1', returned: true } as const;
  expect(linesOf([idle, idle, joined, idle])).toEqual(['waiting for workers']);
  expect(linesOf([idle, { type: 'ready' }, idle])).toEqual(['waiting for workers', 'waiting for workers']);
});

it('says where to join, or writes that to a file if the lines go to a log', () => {
  const addresses = {
    worker: 'ws://127.0.0.1:7071/',
    page: 'http://127.0.0.1:7071/#token=secret',
    owner: '',
    local: '',
    open: [],
  };
  const listening = {
    addresses,
    host: '127.0.0.1',
    port: 7071,
    wantedPort: 7071,
    token: 'secret',
    fingerprint: undefined,
  };
  const events: RelayEvent[] = [{ type: 'listening', ...listening }, { type: 'open' }];
  expect(linesOf(events).join('\n')).toMatch(/LOCKSTEP_TOKEN=secret .*\n.*#token=secret$/);
  const file = join(temporaryFolder(), 'addresses');
  expect(linesOf(events, file)).toEqual([`The addresses for joining and watching are in ${file}.`]);
  expect(readFileSync(file, 'utf8')).toMatch(/LOCKSTEP_TOKEN=secret .*\n.*#token=secret\n$/);
});
