/** Who computes for a run; here, a worker inside this process. */
import { memoryPair, openChecksum } from '@lockstep/protocol';
import { systemClock } from '@lockstep/train';
import { type Compute, type Run, startSession } from '@lockstep/training';
import { sha256 } from './assemble.ts';

export interface Workforce {
  traffic(): { readonly bytesSent: number; readonly bytesReceived: number };
  /** Ends the workers that were started, and waits until they have ended. */
  dismiss(): Promise<void>;
  /** Lets nobody come or watch any more. */
  close(): Promise<void>;
}

/** One worker in this very thread: the same rules and the same sums, no sockets. */
export async function hireThisProcess(run: Run, compute: Compute): Promise<Workforce> {
  // Between messages, signals and the terminal have their turn.
  const pair = memoryPair({ schedule: (deliver) => void setImmediate(deliver) });
  const checksum = await openChecksum();
  run.connect(pair.coordinator);
  const identity = { kind: 'local', name: 'this process' } as const;
  const session = startSession({
    transport: pair.worker,
    compute,
    identity,
    clock: systemClock,
    checksum,
    hash: sha256,
  });
  return {
    traffic: () => ({ bytesSent: 0, bytesReceived: 0 }),
    async dismiss() {
      session.leave('the run has ended');
      await session.ended;
      await compute.close();
    },
    close: async () => {},
  };
}
