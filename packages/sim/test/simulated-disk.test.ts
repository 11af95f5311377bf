import { expect, it } from 'vitest';
import { SimulatedDisk } from '../src/simulated-process.ts';

it('a full disk keeps what was there before', () => {
  const disk = new SimulatedDisk<number>();
  expect(disk.newest()).toBeUndefined();
  expect(disk.write(1)).toBe(true);
  disk.isFull = true;
  expect(disk.write(2)).toBe(false);
  expect(disk.newest()).toBe(1);
});

it('the newest checkpoint is the last of the kept ones that is not torn', () => {
  const disk = new SimulatedDisk<number>();
  for (const checkpoint of [1, 2, 3, 4]) disk.write(checkpoint);
  const found = [4, 3, 2].map((expected) => {
    expect(disk.newest()).toBe(expected);
    return disk.tearNewest();
  });
  expect(found).toEqual([true, true, true]);
  expect(disk.newest()).toBeUndefined();
  expect(disk.tearNewest()).toBe(false);
});
