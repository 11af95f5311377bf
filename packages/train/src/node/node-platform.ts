/** A Node process, as a run sees it. */
import { availableParallelism, cpus, release, type } from 'node:os';
import { basename, resolve } from 'node:path';
import { loadMnist, openDataset } from '@lockstep/data/node';
import { nodeThreads } from '@lockstep/tensor/node';
import { Checkpointer } from '../checkpoint/checkpointer.ts';
import { requireCheckpointFolder } from '../checkpoint/folder.ts';
import { keptSecret } from '../checkpoint/kept-secret.ts';
import { openCheckpoints } from '../checkpoint/open.ts';
import type { Host } from '../host.ts';
import { bareHost, isLoopback } from '../http/addresses.ts';
import { openTls } from '../http/tls.ts';
import { portOf } from '../network/attached-server.ts';
import { isJoinCode, newJoinCode } from '../new-join-code.ts';
import { newSecret } from '../new-secret.ts';
import { type CheckpointOptions, defaultHost } from '../options.ts';
import type { Platform } from '../platform.ts';
import { Site } from '../site/site.ts';
import { BackgroundEvaluator } from './background-evaluator.ts';
import { systemMemoryBytes } from './memory.ts';
import { openCompute } from './open-compute.ts';
import { newSha256, sha256 } from './sha256.ts';

const { bun, deno, node } = process.versions;
const [engine, engineVersion] = bun ? ['Bun', bun] : deno ? ['Deno', deno] : ['Node', node];

const host: Host = {
  requireCheckpointFolder,
  async prepareNetwork(listen, checkpoint) {
    const name = bareHost(listen.host ?? (listen.server ? portOf(listen.server).address : defaultHost));
    const token = listen.token ?? (isLoopback(name) ? undefined : await newToken(checkpoint));
    const tls = listen.server ? undefined : await openTls(listen.tls, name, checkpoint);
    const code = token === undefined ? undefined : await newCode(checkpoint);
    return { listen: { ...listen, host: name }, token, code, adminToken: newSecret(), tls };
  },
  openCheckpoints,
  createCheckpointer: (options) => new Checkpointer(options),
  createEvaluator: (setup, createInline) => new BackgroundEvaluator(setup, createInline),
  createSite: (emit) => new Site(emit),
};

/** A run that goes on has the token from before: its workers know no other. */
function newToken(checkpoint: CheckpointOptions | undefined): Promise<string> {
  const isValid = (token: string): boolean => /^[\w-]{22}$/.test(token);
  return keptSecret({ checkpoint, fileName: 'join-token', isValid, create: newSecret });
}

/** Kept as the token is: a tab that was let in by the code knows nothing else. */
function newCode(checkpoint: CheckpointOptions | undefined): Promise<string> {
  return keptSecret({ checkpoint, fileName: 'join-code', isValid: isJoinCode, create: newJoinCode });
}

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
  defer: (callback) => void setImmediate(callback),
  async loadData(data, seed) {
    if (data === undefined) return { ...(await loadMnist()), name: 'MNIST' };
    return { ...(await openDataset(data, { seed })), name: basename(resolve(data)) };
  },
  host,
};
