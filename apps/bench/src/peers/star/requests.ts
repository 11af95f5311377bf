/** How the programs of the star question are spoken to: one JSON line a request, one a reply, in order. */
import { createInterface } from 'node:readline';

/** To a coordinator: `listen` first, then bursts of `begin`, in which it lets workers in, and `end`, which waits for the last step. */
export type CoordinatorRequest =
  | { readonly do: 'listen' }
  | { readonly do: 'begin'; readonly workers: number; readonly steps: number; readonly warmUpSteps: number }
  | { readonly do: 'end' }
  | { readonly do: 'result' };

/** To the program that holds the workers. It replies when all of them have been sent home. */
export interface WorkersRequest {
  readonly do: 'join';
  readonly port: number;
  readonly workers: number;
}

/** What a burst took, from the end of its warm-up to when the last step was taken. */
export interface Burst {
  readonly ms: number;
  /** Processor time of the coordinator's process meanwhile, all its threads. */
  readonly cpuMs: number;
  /** Resident memory of the coordinator's process at its end. */
  readonly residentBytes: number;
  /** Over all sockets and all steps, those of the warm-up too; WebSocket headers included. */
  readonly bytesSent: number;
  readonly bytesReceived: number;
}

/** Answers requests from stdin until it is closed. Whatever fails ends the program, with a sentence as the last that it says. */
export async function answerRequests<Request>(answer: (request: Request) => Promise<object>): Promise<void> {
  process.on('uncaughtException', (error) => {
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  });
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line) as Request))}\n`);
  }
}
