/** The platform of a run in a Node process. */
import { availableParallelism, cpus, release, totalmem, type } from 'node:os';
import { basename, resolve } from 'node:path';
import { type Compute, createLocalCompute } from '@lockstep/compute';
import { loadMnist, openDataset } from '@lockstep/data/node';
import { isHostBackend, openBackend } from '@lockstep/tensor';
import { nodeThreads } from '@lockstep/tensor/node';
import { createTensorFlowCompute, prepareProcess } from '@lockstep/tfjs-node';
import { type ComputeChoice, configurationError, named, systemClock } from '@lockstep/worker';
import { Checkpointer } from '../checkpoint/checkpointer.ts';
import { openCheckpoints } from '../checkpoint/open.ts';
import { requireCheckpointFolder } from '../checkpoint/store.ts';
import { newSecret } from '../new-secret.ts';
import { type CheckpointOptions, defaultHost } from '../options.ts';
import type { Host, Platform } from '../platform.ts';
import { bareHost, isJoinCode, isLoopback, keptSecret, newJoinCode, openTls } from '../site/secrets.ts';
import { portOf } from '../site/server.ts';
import { Site } from '../site/site.ts';
import { errorMessage } from '../words.ts';
import { BackgroundEvaluator } from './background-evaluator.ts';
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

/** A resumed run keeps its token, because its workers know no other. */
function newToken(checkpoint: CheckpointOptions | undefined): Promise<string> {
  const isValid = (token: string): boolean => /^[\w-]{22}$/.test(token);
  return keptSecret({ checkpoint, fileName: 'join-token', isValid, create: newSecret });
}

/** Kept like the token: a tab admitted by the code knows nothing else. */
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
  async loadData(data, seed) {
    if (data === undefined) return { ...(await loadMnist()), name: 'MNIST' };
    return { ...(await openDataset(data, { seed })), name: basename(resolve(data)) };
  },
  host,
};

/**
 * Opens a computer for shards in this process besides the run's own backend, with a line that explains the choice.
 * @throws ConfigurationError
 */
export async function openCompute(name: ComputeChoice, threads: number): Promise<{ compute: Compute; choice: string }> {
  try {
    if (name === 'tfjs-node') {
      prepareProcess();
      return { compute: await createTensorFlowCompute(systemClock), choice: 'computing on tfjs-node' };
    }
    const { backend, choice } = await openBackend(name, nodeThreads(threads));
    if (isHostBackend(backend)) return { compute: createLocalCompute(backend, systemClock), choice };
  } catch (error) {
    throw configurationError`${named('backend', name)}: ${errorMessage(error)}`;
  }
  throw configurationError`${named('backend', name)}: expected one that computes in this process`;
}

export function systemMemoryBytes(): number {
  const allowed = process.constrainedMemory();
  return allowed > 0 ? Math.min(allowed, totalmem()) : totalmem();
}
