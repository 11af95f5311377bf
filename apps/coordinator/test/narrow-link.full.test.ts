/**
 * Workers behind links that need seconds for the weights of a step: the run advances with the bits of one process, and
 * its end reaches them.
 */
import { afterEach, expect, it } from 'vitest';
import { openServer } from '../../../packages/server/test/dashboard-server.ts';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { openThrottledLink, type ThrottledLink } from '../../../packages/train/test/throttled-link.ts';
import { tinyArgs } from '../../../packages/train/test/tiny-data.ts';
import { runToReport, startCoordinator, startWorker } from './processes.ts';

const folder = temporaryFolder();
const args = [...(await tinyArgs(folder)), '--steps', '2', '--epochs', '50'];
const megabit = 125_000;
/** Size of the model's parameters in bytes. */
const vectorBytes = 407_080;

const links: ThrottledLink[] = [];
afterEach(() => {
  for (const link of links.splice(0)) link.close();
});

it('two workers behind 1 Mbit/s each take every step, and none is cut while its bytes arrive', async () => {
  const { report: expected } = await runToReport(folder, [...args, '--single']);
  const server = await openServer({ args, startWorkers: 2 });
  for (let index = 0; index < 2; index++) links.push(await openThrottledLink(server.ws, megabit));
  const workers = links.map(({ url }, index) => startWorker(['--url', url, '--name', `far-${index}`]));
  expect(await server.run.outcome).toEqual({ type: 'finished' });
  const report = server.report();
  expect(report.weightsSha256).toBe(expected.weightsSha256);
  expect([report.faults.disconnects, report.faults.reassigned, report.turnedAway.flood]).toEqual([0, 0, 0]);
  for (const worker of workers) expect((await worker.ended).code).toBe(0);
  await server.close();
}, 180_000);

it('a worker hears of the end behind weights that take eight seconds', async () => {
  const coordinator = startCoordinator('coordinator', [...args, '--port', '0']);
  const [, url = ''] = await coordinator.printed(/--url (ws:\S+)/);
  const link = await openThrottledLink(url, vectorBytes / 8);
  links.push(link);
  const worker = startWorker(['--url', link.url, '--name', 'far']);
  // The weights of the numerics check are being sent.
  await worker.printed(/joined as w1/);
  coordinator.kill('SIGTERM');
  const { code, stderr } = await worker.ended;
  expect(stderr).toMatch(/^worker far: joined as w1, .*\nworker far: the coordinator was interrupted\n$/);
  expect(code).toBe(0);
  expect((await coordinator.ended).code).toBe(130);
});
