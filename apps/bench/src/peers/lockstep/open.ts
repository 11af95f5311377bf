/** Opens a backend of Lockstep for a candidate. */
import { errorMessage } from '@lockstep/command';
import { type HostBackend, type HostBackendName, openBackend } from '@lockstep/tensor';
import type { Absent } from '../../harness/candidate.ts';

/** Opens the backend. If this engine lacks or refuses it, returns it as absent with the reason. */
export async function openHost(name: HostBackendName): Promise<HostBackend | Absent> {
  try {
    return (await openBackend(name)).backend;
  } catch (error) {
    return { absent: errorMessage(error) };
  }
}
