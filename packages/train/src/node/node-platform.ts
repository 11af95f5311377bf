/** A Node process, as a run sees it. */
import { availableParallelism } from 'node:os';
import { loadMnist, openDataset } from '@lockstep/data/node';
import { nodeThreads } from '@lockstep/tensor/node';
import type { Platform } from '../platform.ts';
import { systemMemoryBytes } from './memory.ts';
import { nodeHost } from './node-host.ts';
import { openCompute } from './open-compute.ts';
import { newSha256, sha256 } from './sha256.ts';

export const nodePlatform: Platform = {
  cores: availableParallelism(),
  memoryBytes: systemMemoryBytes(),
  threads: nodeThreads,
  openCompute,
  sha256,
  newSha256,
  defer: (callback) => void setImmediate(callback),
  loadData: (data, seed) => (data === undefined ? loadMnist() : openDataset(data, { seed })),
  host: nodeHost,
};
