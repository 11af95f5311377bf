/** A Node process, as a run sees it. */
import { availableParallelism, cpus, release, type } from 'node:os';
import { basename, resolve } from 'node:path';
import { loadMnist, openDataset } from '@lockstep/data/node';
import { nodeThreads } from '@lockstep/tensor/node';
import type { Platform } from '../platform.ts';
import { systemMemoryBytes } from './memory.ts';
import { nodeHost } from './node-host.ts';
import { openCompute } from './open-compute.ts';
import { newSha256, sha256 } from './sha256.ts';

const { bun, deno, node } = process.versions;
const [engine, engineVersion] = bun ? ['Bun', bun] : deno ? ['Deno', deno] : ['Node', node];

export const nodePlatform: Platform = {
  machine: {
    runtime: `${engine} ${engineVersion}`,
    system: `${type()} ${release()} ${process.arch}`,
    // Empty in some containers.
    processor: cpus()[0]?.model.trim() || null,
    cores: availableParallelism(),
  },
  cores: availableParallelism(),
  memoryBytes: systemMemoryBytes(),
  threads: nodeThreads,
  openCompute,
  sha256,
  newSha256,
  async loadData(data, seed) {
    if (data === undefined) return { ...(await loadMnist()), name: 'MNIST' };
    return { ...(await openDataset(data, { seed })), name: basename(resolve(data)) };
  },
  host: nodeHost,
};
