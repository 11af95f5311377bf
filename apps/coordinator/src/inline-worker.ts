/** A worker in the coordinator's own thread: the same rules and the same sums, without sockets. */
import { memoryPair, openChecksum } from '@lockstep/protocol';
import { systemClock } from '@lockstep/train';
import { type Compute, type Run, Session } from '@lockstep/training';
import { sha256 } from './sha256.ts';
import type { WorkerPool } from './worker-pool.ts';

export async function startInlineWorker(run: Run, compute: Compute): Promise<WorkerPool> {
  // Between messages, signals and the terminal have their turn.
  const { coordinator, worker } = memoryPair({ schedule: (deliver) => void setImmediate(deliver) });
  const checksum = await openChecksum();
  run.connect(coordinator);
  const session = new Session({
    transport: worker,
    compute,
    identity: { kind: 'local', name: 'this process' },
    clock: systemClock,
    checksum,
    hash: sha256,
  });
  return {
    traffic: () => ({ bytesSent: 0, bytesReceived: 0 }),
    async stop() {
      session.leave('the run has ended');
      await session.ended;
      await compute.close();
    },
    close: async () => {},
  };
}
