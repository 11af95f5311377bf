/** A Node process, as a run sees it. */
import { availableParallelism } from 'node:os';
import { DataError } from '@lockstep/data';
import { loadMnist, openDataset } from '@lockstep/data/node';
import { nodeThreads } from '@lockstep/tensor/node';
import { configurationError, named } from '@lockstep/worker';
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
  async loadData(data, seed) {
    try {
      return data === undefined ? await loadMnist() : await openDataset(data, { seed });
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      if (data === undefined) throw configurationError`${error.message}`;
      throw configurationError`${named('data')}: ${error.message}`;
    }
  },
  host: nodeHost,
};
