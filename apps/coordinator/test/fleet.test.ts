/** A run in a fleet outlives its coordinator: real processes, and a real NATS server. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasNatsServer, type NatsServer, startNatsServer } from '../../../packages/fleet/test/nats-server.ts';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { openStepWitness } from '../../../packages/train/test/step-witness.ts';
import { readReport, runToReport, startCoordinator, startWorker } from './processes.ts';

const folder = temporaryFolder();
const steps = ['--steps', '400'];

describe.skipIf(!hasNatsServer)('with nats-server', () => {
  let server: NatsServer;

  beforeAll(async () => {
    server = await startNatsServer();
  });
  afterAll(() => server.close());

  it('kill -9 of the coordinator: the standby goes on, the worker follows, and the model is the same', async () => {
    const { report: expected } = await runToReport(folder, ['--single', ...steps]);
    const fleet = ['--fleet', server.url, '--run', 'killed'];
    const args = [...steps, ...fleet, '--port', '0', '--checkpoint-every', '50', '--standby'];
    const file = join(folder, 'standby.json');
    const first = startCoordinator('coordinator', args);
    const [, url = ''] = await first.printed(/--url (ws:\S+)/);
    const second = startCoordinator('coordinator', [...args, '--report', file]);
    await second.printed(/^Standby: .* leads run killed of the fleet at nats:\/\/127/m);
    const witness = await openStepWitness(url);
    await witness.reached(100);
    const worker = startWorker([...fleet, '--name', 'faithful']);
    await worker.printed(/joined as/);
    first.kill('SIGKILL');
    await second.printed(/^Resumed from checkpoint-\S+ in run killed of the fleet at .*, after step \d+ of 400/m);
    expect(await second.ended).toMatchObject({ code: 0, stderr: '' });
    expect(await worker.ended).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/: back as w\d+\n.*is finished/s),
    });
    expect(readReport(file).weightsSha256).toBe(expected.weightsSha256);
  });
});
