/** The program that runs all workers of a coordinator under test, one socket each. */
import { WebSocket } from 'ws';
import { vectorBytes } from '../../workloads/coordinator-load.ts';
import { answerRequests, type WorkersRequest } from './requests.ts';

export const maxFrameBytes = 2 * vectorBytes;

/** @param participate resolves when the coordinator has closed the socket */
export async function serveWorkers(
  participate: (socket: WebSocket, name: string) => Promise<unknown>,
  subprotocols: readonly string[] = [],
): Promise<void> {
  await answerRequests(async ({ port, workers }: WorkersRequest) => {
    const open = () =>
      new WebSocket(`ws://127.0.0.1:${port}`, [...subprotocols], {
        perMessageDeflate: false,
        maxPayload: maxFrameBytes,
        generateMask: (mask) => mask.fill(0),
      });
    await Promise.all(Array.from({ length: workers }, (_, index) => participate(open(), `worker-${index + 1}`)));
    return {};
  });
}
