/** A whole run inside the test: coordinator, dashboard and HTTP over real sockets, and workers in this process. */

import { type Compute, createLocalCompute, createShardSource, type StepResult } from '@lockstep/compute';
import type { Run } from '@lockstep/coordinator';
import { initialize } from '@lockstep/nn';
import type { Prepared } from '@lockstep/prepare';
import { createRun, idlePool, type WorkerPool } from '@lockstep/prepare';
import { bytesOf, memoryPair } from '@lockstep/protocol';
import type { Addresses } from '@lockstep/record';
import { createReport, type EpochReport, Recorder, type Report } from '@lockstep/record';
import { sha256 } from '@lockstep/record/node';
import type { Connection, Limits } from '@lockstep/rules';
import { type HostBackend, openBackend } from '@lockstep/tensor';
import { systemClock } from '@lockstep/worker';
import { Session } from '@lockstep/worker/internal';
import { onTestFinished } from 'vitest';
import { type Asked, prepareAsked } from '../../prepare/test/prepare-arguments.ts';
import { Changes } from '../../protocol/test/changes.ts';
import { oracleWeights } from '../../sim/src/oracle.ts';
import { nodePlatform } from '../../train/src/node-platform.ts';
import type { Dashboard } from '../src/dashboard.ts';
import { Site } from '../src/site.ts';
import type { ViewerLimits } from '../src/viewers.ts';

export interface DashboardServer {
  readonly run: Run;
  readonly recorder: Recorder;
  readonly dashboard: Dashboard;
  readonly prepared: Prepared;
  readonly addresses: Addresses;
  /** `http://HOST:PORT` and `ws://HOST:PORT`, without a path. */
  readonly http: string;
  readonly ws: string;
  /** SHA-256 of the current weights. */
  weightsSha256(): string;
  /** SHA-256 of the weights at the end of the run, computed by the oracle. */
  expectedSha256(): Promise<string>;
  /** Starts a worker in this process, which joins. */
  startWorker(): Promise<WorkerPool>;
  report(): Report;
  /** Resolves when this number of workers are ready. */
  ready(workers: number): Promise<void>;
  epoch(report: EpochReport): void;
  /** Cuts every socket and stops listening; the run sees only that its connections closed. */
  drop(): Promise<void>;
  close(): Promise<void>;
}

export interface DashboardServerOptions {
  readonly args: Asked;
  /** Number of ready workers at which the run begins. */
  readonly startWorkers?: number;
  readonly onStep?: (result: StepResult) => void;
  readonly limits?: Partial<Limits>;
  readonly viewerLimits?: Partial<ViewerLimits>;
}

/** Opens a server that is closed after the test. */
export async function openDashboardServer(opening: DashboardServerOptions): Promise<DashboardServer> {
  const server = await openServer(opening);
  onTestFinished(() => server.close());
  return server;
}

export async function openServer(opening: DashboardServerOptions): Promise<DashboardServer> {
  const { args, startWorkers = 1, onStep, viewerLimits, limits: bounds = {} } = opening;
  const prepared = await prepareAsked('length' in args ? ['--port', '0', ...args] : args);
  const { listen } = prepared;
  if (!listen) throw new Error('expected a run that listens');
  const { backend } = await openBackend('auto');
  const changes = new Changes();
  const recorder = new Recorder({
    ...{ plan: prepared.plan, targetField: prepared.test.targets, nowMs: systemClock.nowMs },
    evaluator: { evaluate: () => new Promise(() => {}), dispose() {} },
    weights: () => new Float32Array(),
    run: () => run,
    pause: async () => {},
    signal: new AbortController().signal,
    emit: () => {},
  });
  const { run, parameterServer } = await createRun({
    prepared,
    platform: nodePlatform,
    backend,
    startWorkers,
    limits: bounds,
    onEvent(event) {
      recorder.event(event, run.state);
      changes.noted();
    },
    onStep(result) {
      recorder.step(result, run.state);
      onStep?.(result);
    },
    onKeep: (step, forget) => recorder.keep(step, forget),
    onGoBack: (step) => recorder.goBack(step),
    onTrace: (trace) => recorder.trace(trace),
  });
  void run.outcome.then((outcome) => recorder.ended(outcome));
  const { token, code, adminToken, tls } = prepared;
  const site = new Site(() => {});
  const { addresses } = await site.open({ listen, token, code, adminToken, tls });
  const attached = await site.attach({
    ...{ run, parameterServer, backend, recorder, viewerLimits },
    prepared: { ...prepared, listen },
    emit: (event) => event.type === 'warning' && console.error(event.message),
    onRunAgain: undefined,
  });
  const { dashboard } = attached;
  const workers: WorkerPool[] = [];
  const [http = '', ws = ''] = addresses.open.map((address) => address.replace(/\/$/, ''));
  let isClosed = false;
  return {
    ...{ run, recorder, dashboard, prepared, addresses, http, ws },
    weightsSha256: () => sha256(bytesOf(parameterServer.weights())),
    expectedSha256: async () => sha256(bytesOf(expectedWeights(backend, prepared))),
    async startWorker() {
      const worker = await startSession(run, createLocalCompute(backend, systemClock));
      workers.push(worker);
      return worker;
    },
    report: () =>
      createReport({
        ...{ startedAt: '', machine: nodePlatform.machine, data: { name: null, sha256: '' }, metrics: null },
        ...{ config: prepared.config, model: prepared.model, state: run.state, record: recorder.data },
        weightsSha256: sha256(bytesOf(parameterServer.weights())),
        wire: attached.traffic(),
        turnedAway: attached.turnedAway!(),
      }),
    async ready(count) {
      const isReady = ({ phase }: Connection): boolean => phase === 'ready';
      await changes.until(() => [...run.state.connections.values()].filter(isReady).length >= count);
    },
    epoch: (report) => recorder.evaluated(report, parameterServer.weights()),
    async close() {
      if (isClosed) return;
      isClosed = true;
      run.stop('the test is over');
      await Promise.all([...workers, attached].map((pool) => pool.stop()));
      await attached.close();
      await site.close();
    },
    drop: () => site.close(),
  };
}

/** A worker in this process that joins and leaves by messages. */
async function startSession(run: Run, compute: Compute): Promise<WorkerPool> {
  const { coordinator, worker } = memoryPair({ schedule: (deliver) => void setImmediate(deliver) });
  run.connect(coordinator);
  const identity = { kind: 'local', name: 'this process' } as const;
  const session = new Session({ transport: worker, compute, identity, clock: systemClock, hash: sha256 });
  return {
    ...idlePool,
    async stop() {
      session.leave('the run has ended');
      await session.ended;
      await compute.close();
    },
  };
}

function expectedWeights(backend: HostBackend, prepared: Prepared): Float32Array {
  const { model, plan, train, config, optimizer } = prepared;
  const targetField = train.targets;
  const samples = createShardSource(train, plan, config.seed);
  const weights = initialize(model, config.seed);
  return oracleWeights({ backend, model, targetField, plan, samples, weights, optimizer, seed: config.seed });
}
