/** A matrix product on one of Lockstep's host backends, whose memory JavaScript can read. */
import { version } from '@lockstep/command';
import type { HostBackendName } from '@lockstep/tensor';
import { type Absent, type Implementation, timeSteps } from '../../harness/candidate.ts';
import type { Product } from '../../workloads/product.ts';
import { openHost } from './open.ts';

export async function openLockstepMatmul(work: Product, name: HostBackendName): Promise<Implementation | Absent> {
  const backend = await openHost(name);
  if ('absent' in backend) return backend;
  const { m, k, n } = work;
  const [left, right, output] = [backend.allocate(m * k), backend.allocate(k * n), backend.allocate(m * n)];
  backend.upload(left, work.left);
  backend.upload(right, work.right);
  const program = backend.prepare([
    { kind: 'matmul', m, k, n, left, right, transposeLeft: false, transposeRight: false, output },
  ]);
  return {
    version,
    notes: [`numeric mode ${backend.numericMode}, 1 thread`, 'a prepared program of one kernel call'],
    // A call of a host backend is complete when it returns.
    run: (steps) => timeSteps(steps, program.run),
    result: () => backend.download(output),
    async close() {
      program.dispose();
      for (const storage of [left, right, output]) backend.free(storage);
    },
  };
}
