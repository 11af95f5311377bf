/** A coordinator inside the test, over real sockets and without a dashboard, for tests that act at a chosen step. */

import type { StepResult } from '@lockstep/compute';
import { bytesPerSample } from '@lockstep/data';
import { bytesOf } from '@lockstep/protocol';
import type { Limits } from '@lockstep/rules';
import { openBackend } from '@lockstep/tensor';
import { systemClock } from '@lockstep/worker';
import type { Run } from '../src/coordinator/run.ts';
import type { RunOutcome } from '../src/coordinator/run-options.ts';
import { nodePlatform } from '../src/node/node-platform.ts';
import { sha256 } from '../src/node/sha256.ts';
import type { Report } from '../src/record/report.ts';
import { createReport } from '../src/record/report.ts';
import { createRun } from '../src/run/create-run.ts';
import { Guesses, newTurnedAwayCounts } from '../src/site/limiter.ts';
import { openServer } from '../src/site/server.ts';
import { createSockets } from '../src/site/sockets.ts';
import { type Asked, prepareAsked } from './prepare-arguments.ts';
import { recorderFor } from './recorder-for.ts';

export interface TestServer {
  readonly url: string;
  readonly outcome: Promise<RunOutcome>;
  readonly report: () => Report;
  readonly control: Run['control'];
  /** Resolves when this number of workers are ready. */
  readonly ready: (workers: number) => Promise<void>;
  /** Cuts every socket and stops listening; the run sees only that its connections closed. */
  readonly drop: () => Promise<void>;
  readonly close: () => Promise<void>;
}

export interface TestServerOptions {
  readonly args: Asked;
  /** Number of ready workers at which the run begins. */
  readonly startWorkers: number;
  readonly onStep?: (result: StepResult) => void;
  readonly limits?: Partial<Limits>;
}

export async function openTestServer({ args, onStep, ...options }: TestServerOptions): Promise<TestServer> {
  const prepared = await prepareAsked(args);
  const { backend } = await openBackend('auto');
  const waiting = new Set<() => void>();
  const recorder = recorderFor(prepared, () => run);
  const { run, parameterServer, limits } = await createRun({
    ...options,
    prepared,
    platform: nodePlatform,
    backend,
    onEvent: () => {
      for (const check of [...waiting]) check();
    },
    onStep(result) {
      recorder.step(result, run.state);
      onStep?.(result);
    },
  });
  const { plan, train } = prepared;
  const turnedAway = newTurnedAwayCounts();
  const host = '127.0.0.1';
  const server = await openServer({ host, port: 0, tls: undefined, allowedOrigins: [], turnedAway });
  const sockets = createSockets(
    {
      guesses: new Guesses(systemClock),
      maxFrameBytes: limits.maxFrameBytes,
      vectorBytes: parameterServer.parameterCount * 4,
      chunkBytes: limits.chunkBytes,
      batchBytes: plan.batch * bytesPerSample(train),
      heartbeatMs: limits.heartbeatMs,
      turnedAway,
      onConnection: (transport, address) => run.connect(transport, address),
      onViewer: (socket) => socket.close(),
    },
    server.connections,
  );
  server.use({ ...sockets, answer: (_, response) => void response.end() });
  const close = async (): Promise<void> => {
    sockets.close(1001, 'the coordinator ends');
    await server.close();
  };
  return {
    url: `ws://127.0.0.1:${server.port}`,
    outcome: run.outcome,
    control: (action) => run.control(action),
    ready: (workers) =>
      new Promise((resolve) => {
        const check = (): void => {
          const ready = [...run.state.connections.values()].filter(({ phase }) => phase === 'ready');
          if (ready.length < workers) return;
          waiting.delete(check);
          resolve();
        };
        waiting.add(check);
        check();
      }),
    report: () =>
      createReport({
        ...{ startedAt: '', machine: nodePlatform.machine, data: { name: null, sha256: '' } },
        config: prepared.config,
        model: prepared.model,
        state: run.state,
        record: recorder.data,
        weightsSha256: sha256(bytesOf(parameterServer.weights())),
        wire: sockets.traffic(),
        turnedAway: { ...turnedAway },
      }),
    drop: close,
    async close() {
      run.stop('the test is over');
      await close();
    },
  };
}
