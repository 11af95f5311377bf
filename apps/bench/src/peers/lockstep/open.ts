/** Opens a backend of Lockstep for a candidate. */
import { errorMessage } from '@lockstep/command';
import { type HostBackend, type HostBackendName, openBackend } from '@lockstep/tensor';
import type { Absent } from '../../harness/candidate.ts';

/** A backend that this engine lacks, or that was refused, is absent with the sentence that says why. */
export async function openHost(name: HostBackendName): Promise<HostBackend | Absent> {
  try {
    return (await openBackend(name)).backend;
  } catch (error) {
    return { absent: errorMessage(error) };
  }
}
