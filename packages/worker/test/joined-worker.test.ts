/** Events that readers of a stream get, however slowly they read. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EventStream } from '../src/joined-worker.ts';

interface Numbered {
  readonly kind: 'step' | 'other';
  readonly at: number;
}

const openStream = () =>
  new EventStream<Numbered>({ replaces: (older, newer) => older.kind === 'step' && newer.kind === 'step' });

async function rest(stream: AsyncIterable<Numbered>): Promise<Numbered[]> {
  const events: Numbered[] = [];
  for await (const event of stream) events.push(event);
  return events;
}

const numbered = fc
  .array(fc.constantFrom<Numbered['kind']>('step', 'other'), { maxLength: 60 })
  .map((kinds) => kinds.map((kind, at): Numbered => ({ kind, at })));

describe('a stream of events', () => {
  it('gives a reader that keeps up each of them, in their order', async () => {
    await fc.assert(
      fc.asyncProperty(numbered, async (events) => {
        const stream = openStream();
        const reading = rest(stream);
        for (const event of events) {
          stream.emit(event);
          await new Promise(setImmediate);
        }
        stream.end();
        expect(await reading).toEqual(events);
      }),
      { numRuns: 20 },
    );
  });

  it('gives one that comes later all but the steps that a next one follows', async () => {
    await fc.assert(
      fc.asyncProperty(numbered, async (events) => {
        const stream = openStream();
        for (const event of events) stream.emit(event);
        stream.end();
        const isLast = ({ kind }: Numbered, index: number): boolean =>
          kind === 'other' || events[index + 1]?.kind !== 'step';
        expect(await rest(stream)).toEqual(events.filter(isLast));
      }),
    );
  });

  it('keeps the newest 1,024 for one that does not read', async () => {
    const stream = openStream();
    for (let at = 0; at < 5_000; at++) stream.emit({ kind: 'other', at });
    stream.end();
    expect((await rest(stream)).map(({ at }) => at)).toEqual(
      Array.from({ length: 1_024 }, (_, index) => 3_976 + index),
    );
  });

  it('gives a second reader what comes after it', async () => {
    const stream = openStream();
    const first = stream[Symbol.asyncIterator]();
    stream.emit({ kind: 'other', at: 0 });
    const second = stream[Symbol.asyncIterator]();
    stream.emit({ kind: 'other', at: 1 });
    expect(await first.next()).toMatchObject({ value: { at: 0 } });
    expect(await second.next()).toMatchObject({ value: { at: 1 } });
  });

  it('throws a failure once to each reader, after the last event', async () => {
    const stream = openStream();
    const error = new Error('the end');
    stream.emit({ kind: 'other', at: 0 });
    const iterator = stream[Symbol.asyncIterator]();
    stream.end({ error });
    expect(await iterator.next()).toMatchObject({ value: { at: 0 } });
    await expect(iterator.next()).rejects.toBe(error);
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
    await expect(rest(stream)).rejects.toBe(error);
  });

  it('ends the wait of a reader that leaves', async () => {
    const stream = openStream();
    const iterator = stream[Symbol.asyncIterator]();
    const waiting = iterator.next();
    await iterator.return?.();
    expect(await waiting).toEqual({ done: true, value: undefined });
    stream.emit({ kind: 'other', at: 0 });
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
  });
});
