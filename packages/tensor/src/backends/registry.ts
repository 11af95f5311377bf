/** The backends that exist, and how one is opened: checked against the reference before it is trusted. */
import type { HostBackend } from '../backend.ts';
import { createCpuBackend } from './cpu/backend.ts';
import { createReferenceBackend } from './reference.ts';
import { verifyBackend } from './verify.ts';

/** One line per backend, the fastest first: the order in which `auto` tries them. */
const openers = {
  cpu: createCpuBackend,
  reference: createReferenceBackend,
} as const satisfies Record<string, () => HostBackend | Promise<HostBackend>>;

export type BackendName = keyof typeof openers;

export type BackendChoice = BackendName | 'auto';

export const backendNames = Object.keys(openers) as readonly BackendName[];

export interface OpenedBackend {
  readonly backend: HostBackend;
  /** One sentence per backend that `auto` tried before and could not use, in order. */
  readonly refused: readonly string[];
}

/**
 * Opens a backend and checks it on a known gradient. `auto` takes the first in the order of `backendNames` that opens
 * and passes.
 * @throws an Error with one sentence when the backend asked for, or under `auto` every one, is refused.
 */
export async function openBackend(choice: BackendChoice): Promise<OpenedBackend> {
  const refused: string[] = [];
  for (const name of choice === 'auto' ? backendNames : [choice]) {
    try {
      const backend = await openers[name]();
      await verifyBackend(backend);
      return { backend, refused };
    } catch (error) {
      refused.push(`backend ${name} was refused: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new Error(refused.join('; '));
}
