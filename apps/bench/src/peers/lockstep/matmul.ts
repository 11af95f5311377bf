/** A matrix product on one of Lockstep's backends that JavaScript can read. */
import type { HostBackendName } from '@lockstep/tensor';
import { type Absent, type Contender, timeSteps } from '../../contender.ts';
import type { Product } from '../../work/product.ts';
import { packageVersion } from '../version.ts';
import { openHost } from './open.ts';

export async function openLockstepMatmul(work: Product, name: HostBackendName): Promise<Contender | Absent> {
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
    version: await packageVersion('@lockstep/tensor'),
    notes: [`arithmetic ${backend.numericMode}, 1 thread`, 'a prepared program of one call'],
    reset: async () => undefined,
    // Every call of a host backend has ended when it returns.
    run: (steps) => timeSteps(steps, program.run, () => undefined),
    result: () => backend.download(output),
    async close() {
      program.dispose();
      for (const storage of [left, right, output]) backend.free(storage);
    },
  };
}
