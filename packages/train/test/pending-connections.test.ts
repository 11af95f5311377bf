import { describe, expect, it } from 'vitest';
import { PendingConnections } from '../src/site/connections.ts';

function setUp(limits: { total: number; perAddress: number }) {
  const pending = new PendingConnections(limits);
  const open = new Set<string>();
  const add = (name: string, address: string): void => {
    open.add(name);
    pending.add(name, address, () => void open.delete(name));
  };
  return { pending, add, open: () => [...open] };
}

describe('connections that have shown nothing', () => {
  it('lose the oldest of an address that has too many', () => {
    const { add, open } = setUp({ total: 10, perAddress: 2 });
    for (const name of ['a1', 'a2', 'a3']) add(name, 'a');
    add('b1', 'b');
    expect(open()).toEqual(['a2', 'a3', 'b1']);
  });

  it('lose the oldest of the address that has most where there are too many in all', () => {
    const { add, open } = setUp({ total: 3, perAddress: 3 });
    add('b1', 'b');
    for (const name of ['a1', 'a2']) add(name, 'a');
    add('c1', 'c');
    expect(open()).toEqual(['b1', 'a2', 'c1']);
  });

  it('stay once they have shown what they are for, and those that ended make room', () => {
    const { pending, add, open } = setUp({ total: 10, perAddress: 1 });
    add('a1', 'a');
    pending.settle('a1', 'a');
    pending.settle('a1', 'a');
    add('a2', 'a');
    expect(open()).toEqual(['a1', 'a2']);
    add('a3', 'a');
    expect(open()).toEqual(['a1', 'a3']);
  });
});
