/** A worker process whose compute thread dies ends with one sentence, and the run's weights are unaffected. */
import { once } from 'node:events';
import { expect, it } from 'vitest';
import WebSocket from 'ws';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { readReport, runToReport, startCoordinator, startWorker } from '../../coordinator/test/processes.ts';
import { endThreads, openInspector } from './inspector.ts';

const folder = temporaryFolder();

/** Environment that makes a program inspectable; the program prints the address. */
const inspectable = { NODE_OPTIONS: '--inspect=127.0.0.1:0' };
const inspectorAddress = /Debugger listening on (ws:\S+)/;

it('ends its worker with one sentence, and the run goes on without it to the same weights', async () => {
  const file = `${folder}/report.json`;
  const endless = ['--batch', '256', '--epochs', '1000000'];
  const run = startCoordinator('coordinator', ['--port', '0', '--report', file, ...endless]);
  const [, url = ''] = await run.printed(/--url (\S+)/);
  const worker = startWorker(['--url', url, '--name', 'doomed', '--threads', '2'], { env: inspectable });
  await run.printed(/epoch 1\/1000000/);
  const [, address = ''] = await worker.printed(inspectorAddress);
  const socket = new WebSocket(address);
  await once(socket, 'open');
  const inspector = openInspector((message) => socket.send(message));
  socket.on('message', (data) => inspector.read(String(data)));
  socket.on('close', inspector.closed);
  expect(await endThreads(inspector, 'require("node:worker_threads").Worker.prototype')).toBe(1);
  socket.terminate();

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
