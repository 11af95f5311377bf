/** The requests to the programs of the coordinator's benchmarks: one JSON line per request, one per reply, in order. */
import { createInterface } from 'node:readline';

/** Requests to a coordinator, for each burst: `begin` admits workers, then `end` waits for the last step. */
export type CoordinatorRequest =
  | { readonly do: 'begin'; readonly workers: number; readonly steps: number; readonly warmUpSteps: number }
  | { readonly do: 'end' }
  | { readonly do: 'result' };

/** A coordinator's first message, sent without a request. */
export interface Listening {
  readonly port: number;
  readonly version: string;
  readonly notes: readonly string[];
}

/** Reply to `end`: the figures from the end of the warm-up to the last step. */
export interface Burst {
  readonly ms: number;
  /** CPU time of all threads of the coordinator's process. */
  readonly cpuMs: number;
  readonly residentBytes: number;
  /** Bytes over all sockets and all steps, including the warm-up and WebSocket headers. */
  readonly bytesSent: number;
  readonly bytesReceived: number;
}

/** Request to the program that runs the workers, which replies when all their sockets are closed. */
export interface WorkersRequest {
  readonly port: number;
  readonly workers: number;
}

/** Answers requests from stdin until it is closed. A failure ends the program, with its message last on stderr. */
export async function answerRequests<Request>(answer: (request: Request) => Promise<object>): Promise<void> {
  process.on('uncaughtException', (error) => {
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  });
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line) as Request))}\n`);
  }
}
