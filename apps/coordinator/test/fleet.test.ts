/**
 * A run in a fleet survives its coordinator, and attacks with lesser credentials: real processes, real NATS servers.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { attackRun } from '../../../packages/fleet/test/attacks.ts';
import { connectAs, type NatsCluster, type Role, startNatsCluster } from '../../../packages/fleet/test/nats-cluster.ts';
import { hasNatsServer, type NatsServer, startNatsServer } from '../../../packages/fleet/test/nats-server.ts';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { openStepWitness } from '../../../packages/train/test/step-witness.ts';
import { readReport, runToReport, startCoordinator, startRelay, startWorker } from './processes.ts';

const folder = temporaryFolder();
const steps = ['--steps', '400'];
const { report: expected } = await runToReport(folder, ['--single', ...steps]);

describe.skipIf(!hasNatsServer)('with nats-server', () => {
  let server: NatsServer;

  beforeAll(async () => {
    server = await startNatsServer();
  });
  afterAll(() => server.close());

  it('kill -9 of the coordinator: the standby goes on, the worker follows, and the model is the same', async () => {
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

describe.skipIf(!hasNatsServer)('with the servers and credentials of deploy/nats', () => {
  let cluster: NatsCluster;
  const run = 'attacked';

  beforeAll(async () => {
    cluster = await startNatsCluster();
  });
  afterAll(() => cluster.close());

  /** Options of a process with the credentials of its role. */
  const fleetOf = (role: Role): string[] => [
    ...['--fleet', cluster.url, '--run', run, '--fleet-ca', join(cluster.folder, 'ca.pem')],
    ...['--fleet-credentials', join(cluster.folder, `${role}.login`)],
  ];

  it('a viewer and a worker that attack each record neither end the run, nor redirect it, nor change it', async () => {
    const attackers = await Promise.all((['viewer', 'worker'] as const).map((role) => connectAs(cluster, role)));
    const ends = attackers.flat().map((connection) => attackRun(connection, run));
    const file = join(folder, 'attacked.json');
    const args = [...steps, ...fleetOf('coordinator'), '--port', '0', '--checkpoint-every', '50', '--standby'];
    const first = startCoordinator('coordinator', args);
    const [, url = ''] = await first.printed(/--url (ws:\S+)/);
    const second = startCoordinator('coordinator', [...args, '--report', file]);
    await second.printed(/^Standby: .* leads run attacked of the fleet/m);
    const relay = startRelay([...fleetOf('worker'), '--port', '0']);
    await relay.printed(/Join with: /);
    const worker = startWorker([...fleetOf('worker'), '--name', 'faithful']);
    await worker.printed(/joined as/);
    const witness = await openStepWitness(url);
    await witness.reached(100);
    first.kill('SIGKILL');
    await second.printed(/^Resumed from checkpoint-\S+ in run attacked of the fleet at .*, after step \d+ of 400/m);
    const late = startWorker([...fleetOf('worker'), '--name', 'late']);
    await late.printed(/joined as/);
    expect(await second.ended).toMatchObject({ code: 0, stderr: '' });
    for (const program of [relay, worker, late]) expect(await program.ended).toMatchObject({ code: 0 });
    for (const end of ends) expect(await end()).toBeGreaterThan(0);
    expect(readReport(file).weightsSha256).toBe(expected.weightsSha256);
  });
});
