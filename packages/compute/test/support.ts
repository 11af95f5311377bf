/** Shared by tests of sums: backends, Node's hash, and how an aggregator is given a sum. */
import { createHash } from 'node:crypto';
import type { Shard } from '@lockstep/rules';
import { type HostBackend, isHostBackend, openBackend, randomStream } from '@lockstep/tensor';
import { nodeThreads } from '@lockstep/tensor/node';
import type { Aggregator } from '../src/aggregator.ts';
import type { ShardGradient } from '../src/compute.ts';
import type { NewHash } from '../src/numerics-check.ts';

export function hash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export const newHash: NewHash = () => createHash('sha256');

export function weightsHash(weights: Float32Array): string {
  return hash(new Uint8Array(weights.slice().buffer));
}

/** A result without its time, which differs from run to run. */
export const withoutTime = ({ computeMs: _, ...rest }: ShardGradient) => rest;

/** Lets ready promises run. */
export const drain = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export async function hostBackend(name: 'reference' | 'cpu' = 'reference'): Promise<HostBackend> {
  const { backend } = await openBackend(name);
  if (!isHostBackend(backend)) throw new Error(`${name}: expected a backend in JavaScript's own memory`);
  return backend;
}

/** Opens every host backend, and `cpu` with threads as well; the test must close them. */
export async function everyHostBackend(): Promise<(HostBackend & { close?(): Promise<void> })[]> {
  return [await hostBackend('reference'), await hostBackend('cpu'), (await openBackend('cpu', nodeThreads(2))).backend];
}

/** A shard's encoded sum, as an aggregator takes it. */
export type EncodedSum = Parameters<Aggregator['write']>[2] & Parameters<Aggregator['finish']>[2];

/** Decodes a shard's sum and adds it; returns false and adds nothing if a number is not finite. */
export function addSum(aggregator: Aggregator, shard: Shard, sum: EncodedSum): boolean {
  const memory = aggregator.reserve();
  const largest = aggregator.write(memory, { from: 0, to: memory.length - 2 }, sum);
  const isAdded = aggregator.finish(memory, largest, sum) !== undefined;
  if (isAdded) aggregator.add(shard, memory);
  else aggregator.release(memory);
  return isAdded;
}

/** Draws samples of `size` bytes, and labels of three classes. */
export function samplesOf(seed: number, count: number, size = 4): [pixels: Uint8Array, labels: Uint16Array] {
  const random = randomStream(seed);
  return [
    Uint8Array.from({ length: count * size }, () => Math.floor(256 * random())),
    Uint16Array.from({ length: count }, () => Math.floor(3 * random())),
  ];
}
