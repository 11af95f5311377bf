/** Workers and coordinators that leave before the run has begun, or while nobody watches them. */
import { expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { tinyArgs } from '../../../packages/train/test/tiny-data.ts';
import { canListProcesses, startCoordinator, startWorker } from './processes.ts';

const tiny = [...(await tinyArgs(temporaryFolder())), '--epochs', '1000000'];
const anyPort = [...tiny, '--port', '0'];

it.runIf(canListProcesses)('a run whose local workers are told to end goes on with another worker', async () => {
  const coordinator = startCoordinator('start', [...anyPort, '--workers', '1', '--wait-for-start']);
  const [, url = ''] = await coordinator.printed(/--url (ws:\S+)/);
  await coordinator.printed(/w1 local-1 joined/);
  startWorker(['--url', url, '--name', 'other']);
  await coordinator.printed(/w2 other joined/);
  const [local] = coordinator.offspring();
  process.kill(local!, 'SIGTERM');
  await coordinator.printed(/worker local-1 ended \(exit code 130\)/);
  const third = startWorker(['--url', url, '--name', 'third']);
  await third.printed(/joined as w3/);
});

it('a worker that was frozen while its coordinator ended says so', async () => {
  const coordinator = startCoordinator('coordinator', anyPort);
  const [, url = ''] = await coordinator.printed(/--url (ws:\S+)/);
  const worker = startWorker(['--url', url, '--name', 'frozen']);
  await coordinator.printed(/w1 frozen joined/);
  worker.kill('SIGSTOP');
  coordinator.kill('SIGKILL');
  await coordinator.ended;
  worker.kill('SIGCONT');
  await worker.printed(
    /the run is over or the coordinator is down; waiting for the coordinator to return \(Ctrl-C to stop\)/,
  );
  worker.kill('SIGINT');
  expect(await worker.ended).toMatchObject({ code: 130 });
});

it('a worker that waits joins a coordinator that is started later', async () => {
  const first = startCoordinator('coordinator', anyPort);
  const [, url = '', port = ''] = await first.printed(/--url (ws:\S+:(\d+))/);
  first.kill('SIGKILL');
  await first.ended;
  const worker = startWorker(['--url', url, '--name', 'early', '--wait']);
  await worker.printed(/connection refused\); waiting for it \(Ctrl-C to stop\)/);
  const second = startCoordinator('coordinator', [...tiny, '--port', port, '--steps', '5']);
  expect(await second.ended).toMatchObject({ code: 0 });
  expect(await worker.ended).toMatchObject({ code: 0 });
});
