/** A worker process whose compute thread dies ends with one sentence, and the run's weights are unaffected. */
import { once } from 'node:events';
import type { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import WebSocket from 'ws';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { readReport, runToReport, startCoordinator, startWorker } from '../../coordinator/test/processes.ts';

const folder = temporaryFolder();

/** Environment that makes a program inspectable; the program prints the address. */
const inspectable = { NODE_OPTIONS: '--inspect=127.0.0.1:0' };
const inspectorAddress = /Debugger listening on (ws:\S+)/;

let asked = 0;

it('ends its worker with one sentence, and the run goes on without it to the same weights', async () => {
  const file = `${folder}/report.json`;
  const endless = ['--batch', '256', '--epochs', '1000000'];
  const run = startCoordinator('coordinator', ['--port', '0', '--report', file, ...endless]);
  const [, url = ''] = await run.printed(/--url (\S+)/);
  const worker = startWorker(['--url', url, '--name', 'doomed', '--threads', '2'], inspectable);
  await run.printed(/epoch 1\/1000000/);
  const [, address = ''] = await worker.printed(inspectorAddress);
  expect(await endThreads(address)).toBe(1);

  const { code, stderr } = await worker.ended;
  const own = stderr.split('\n').filter((line) => line.startsWith('worker'));
  expect(code).toBe(1);
  // Between two programs the thread's exit is noticed; during one, the thread gives no result.
  const death = /a compute thread has died: it (ended with exit code 1|gave no result for \d+ s)$/;
  expect(own.filter((line) => death.test(line))).toHaveLength(1);
  expect(own.at(-1)).toMatch(death);
  await run.printed(new RegExp(`w1 doomed: .*${death.source}`, 'm'));

  startWorker(['--url', url, '--name', 'next', '--threads', '2']);
  await run.printed(/w2 next joined[\s\S]*epoch/);
  run.kill('SIGINT');
  expect((await run.ended).code).toBe(130);
  const report = readReport(file);
  expect(report).toMatchObject({ exactness: 'bit-exact', workers: [{ name: 'doomed' }, { name: 'next' }] });
  for (const { samples } of report.workers) expect(samples).toBeGreaterThan(0);
  const { report: single } = await runToReport(folder, ['--single', ...endless, '--steps', `${report.steps}`]);
  expect(report.weightsSha256).toBe(single.weightsSha256);
}, 120_000);

interface Answer {
  readonly id?: number;
  readonly error?: { readonly message: string };
  readonly result?: {
    readonly exceptionDetails?: { readonly text: string };
    readonly result?: { readonly objectId?: string; readonly value?: unknown };
    readonly objects?: { readonly objectId: string };
  };
}

/** Ends every thread that the program at this address has started. @returns how many threads it ended */
async function endThreads(address: string): Promise<number> {
  const socket = new WebSocket(address);
  await once(socket, 'open');
  try {
    const workers = await ask(socket, 'Runtime.evaluate', {
      expression: 'require("node:worker_threads").Worker.prototype',
      includeCommandLineAPI: true,
    });
    const all = await ask(socket, 'Runtime.queryObjects', { prototypeObjectId: workers?.result?.objectId });
    const ended = await ask(socket, 'Runtime.callFunctionOn', {
      objectId: all?.objects?.objectId,
      functionDeclaration: `${terminateAll}`,
      awaitPromise: true,
      returnByValue: true,
    });
    return Number(ended?.result?.value);
  } finally {
    socket.terminate();
  }
}

/** Runs in the program. The objects found by prototype include the prototypes of subclasses. */
async function terminateAll(this: readonly Worker[]): Promise<number> {
  const threads = this.filter((each) => !Object.hasOwn(each, 'constructor'));
  await Promise.all(threads.map((thread) => thread.terminate()));
  return threads.length;
}

function ask(socket: WebSocket, method: string, params: object): Promise<Answer['result']> {
  const id = ++asked;
  return new Promise((resolve, reject) => {
    const fail = (): void => reject(new Error(`expected an answer to ${method}, got the end of the connection`));
    const read = (data: WebSocket.RawData): void => {
      const { id: answered, error, result } = JSON.parse(String(data)) as Answer;
      if (answered !== id) return;
      socket.off('message', read);
      socket.off('close', fail);
      const failure = error?.message ?? result?.exceptionDetails?.text;
      if (failure === undefined) resolve(result);
      else reject(new Error(`${method}: ${failure}`));
    };
    socket.on('message', read);
    socket.on('close', fail);
    socket.send(JSON.stringify({ id, method, params }));
  });
}
