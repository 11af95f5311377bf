/** The requests to the programs of the coordinator's benchmarks: one JSON line a request, one a reply, in order. */
import { createInterface } from 'node:readline';

/** To a coordinator, for each burst: `begin`, which admits workers, then `end`, which waits for the last step. */
export type CoordinatorRequest =
  | { readonly do: 'begin'; readonly workers: number; readonly steps: number; readonly warmUpSteps: number }
  | { readonly do: 'end' }
  | { readonly do: 'result' };

/** What a coordinator says first, unasked. */
export interface Listening {
  readonly port: number;
  readonly version: string;
  readonly notes: readonly string[];
}

/** Reply to `end`: the figures from the end of the warm-up to the last step. */
export interface Burst {
  readonly ms: number;
  /** Of the coordinator's process, all its threads. */
  readonly cpuMs: number;
  readonly residentBytes: number;
  /** Over all sockets and all steps, those of the warm-up too; WebSocket headers included. */
  readonly bytesSent: number;
  readonly bytesReceived: number;
}

/** To the program that runs the workers, which replies when all their sockets are closed. */
export interface WorkersRequest {
  readonly port: number;
  readonly workers: number;
}

/** Answers requests from stdin until it is closed. A failure ends the program, with its message as the last line of stderr. */
export async function answerRequests<Request>(answer: (request: Request) => Promise<object>): Promise<void> {
  process.on('uncaughtException', (error) => {
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  });
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line) as Request))}\n`);
  }
}
