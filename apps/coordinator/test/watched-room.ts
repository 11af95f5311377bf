/** A whole run inside the test: coordinator, dashboard and HTTP over real sockets, and a worker in this process. */
import { once } from 'node:events';
import { parseOptions } from '@lockstep/command';
import { decodeWatch, encodeWatch, type WatchMessageFrom, watchPath, watchSubprotocol } from '@lockstep/protocol';
import { isHostBackend, openBackend } from '@lockstep/tensor';
import type { EpochReport } from '@lockstep/train';
import { systemClock } from '@lockstep/train';
import { createLocalCompute, type ParameterServer, type Run, type RunEvent, type StepResult } from '@lockstep/training';
import { WebSocket } from 'ws';
import { assemble } from '../src/assemble.ts';
import type { Dashboard } from '../src/dashboard/dashboard.ts';
import { showRun } from '../src/dashboard/show.ts';
import { createEventLines } from '../src/event-lines.ts';
import type { Addresses } from '../src/http/addresses.ts';
import type { SocketLimits } from '../src/http/gate.ts';
import { hireOverNetwork } from '../src/network.ts';
import { commands } from '../src/options.ts';
import { type Prepared, prepare } from '../src/prepare.ts';
import { hireThisProcess, type Workforce } from '../src/worker-pool.ts';

export interface WatchedRoom {
  readonly run: Run;
  readonly parameterServer: ParameterServer;
  readonly dashboard: Dashboard;
  readonly prepared: Prepared;
  readonly addresses: Addresses;
  /** `http://HOST:PORT` and `ws://HOST:PORT`, no path. */
  readonly http: string;
  readonly ws: string;
  /** What a person was told. */
  readonly lines: readonly string[];
  /** Lets a worker in this process join. */
  work(): Promise<Workforce>;
  epoch(report: EpochReport): void;
  close(): Promise<void>;
}

export interface WatchedRoomOptions {
  readonly args: readonly string[];
  readonly startWorkers?: number;
  readonly onStep?: (result: StepResult) => void;
  readonly socketLimits?: Partial<SocketLimits>;
}

export async function openWatchedRoom({
  args,
  startWorkers = 1,
  onStep,
  socketLimits,
}: WatchedRoomOptions): Promise<WatchedRoom> {
  const options = parseOptions(commands.coordinator.options, ['--port', '0', ...args]);
  const prepared = await prepare(options);
  const { backend } = await openBackend('auto');
  if (!isHostBackend(backend)) throw new Error('expected a backend in JavaScript memory');
  let dashboard: Dashboard | undefined;
  let addresses: Addresses | undefined;
  const lines: string[] = [];
  const eventLines = createEventLines(systemClock.nowMs);
  const { run, parameterServer, limits } = await assemble({
    prepared,
    backend,
    startWorkers,
    waitForStart: options['wait-for-start'],
    faultInjection: options.chaos,
    onEvent(event: RunEvent) {
      const line = eventLines(event, run.state);
      if (line !== undefined) dashboard?.say(line);
    },
    onStep(result) {
      dashboard?.step(result);
      onStep?.(result);
    },
    onTrace: (trace) => dashboard?.trace(trace),
  });
  const network = await hireOverNetwork({
    run,
    limits,
    options,
    prepared,
    say: (line) => lines.push(line),
    socketLimits,
    show(known) {
      addresses = known;
      dashboard = showRun({
        version: 'test',
        run,
        parameterServer,
        backend,
        prepared,
        joinAddresses: known.open,
        adminToken: prepared.adminToken,
        saveTo: options.save,
        onError: (error) => lines.push(`failed: ${String(error)}`),
      });
      return dashboard;
    },
  });
  const hired: Workforce[] = [];
  const [http = '', ws = ''] = addresses!.open.map((address) => address.replace(/\/$/, ''));
  return {
    run,
    parameterServer,
    dashboard: dashboard!,
    prepared,
    addresses: addresses!,
    http,
    ws,
    lines,
    async work() {
      const workforce = await hireThisProcess(run, createLocalCompute(backend, systemClock));
      hired.push(workforce);
      return workforce;
    },
    epoch: (report) => dashboard!.epoch(report, parameterServer.weights()),
    async close() {
      run.stop('the test is over');
      await Promise.all(hired.map((workforce) => workforce.dismiss()));
      await network.dismiss();
      await network.close();
    },
  };
}

type Shown = WatchMessageFrom<'coordinator'>;
type ShownOf<T extends Shown['type']> = Extract<Shown, { type: T }>;

export interface TestViewer {
  readonly socket: WebSocket;
  readonly heard: readonly Shown[];
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  say(message: WatchMessageFrom<'viewer'>): void;
  /**
   * The next message of a type, from now on or already heard and not yet taken, for which `test` holds. Fails where the
   * socket closes, and where the run has ended and nothing like it has come with the news of it.
   */
  next<T extends Shown['type']>(type: T, test?: (message: ShownOf<T>) => boolean): Promise<ShownOf<T>>;
}

/** What else there is to tell of a run that has ended comes before so many reports of its progress. */
const reportsAfterEnd = 15;

export async function openViewer(
  ws: string,
  options: ConstructorParameters<typeof WebSocket>[2] = {},
): Promise<TestViewer> {
  const socket = new WebSocket(`${ws}${watchPath}`, watchSubprotocol, options);
  const heard: Shown[] = [];
  const untaken: Shown[] = [];
  const waiting = new Set<() => void>();
  let reportsOfEnd = 0;
  socket.on('message', (data: Buffer) => {
    const message = decodeWatch(data, 'coordinator');
    if (message.type === 'progress' && (message.phase === 'finished' || message.phase === 'failed')) reportsOfEnd++;
    heard.push(message);
    untaken.push(message);
    for (const check of [...waiting]) check();
  });
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() }));
  });
  await once(socket, 'open');
  return {
    socket,
    heard,
    closed,
    say: (message) => socket.send(encodeWatch(message)),
    next: (type, test = () => true) =>
      new Promise((resolve, reject) => {
        const lastReport = reportsOfEnd + reportsAfterEnd;
        const check = (): void => {
          const index = untaken.findIndex((message) => message.type === type && test(message as never));
          if (index < 0 && reportsOfEnd < lastReport) return;
          waiting.delete(check);
          if (index >= 0) resolve(untaken.splice(index, 1)[0] as never);
          else reject(new Error(`expected ${type}, but the run has ended: ${JSON.stringify(heard.at(-1))}`));
        };
        waiting.add(check);
        check();
        void closed.then(({ code, reason }) => reject(new Error(`expected ${type}, got closed: ${code} ${reason}`)));
      }),
  };
}
