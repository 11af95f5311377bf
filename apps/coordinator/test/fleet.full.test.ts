/** A run in a fleet survives its coordinator, and attacks with lesser credentials: real processes, real NATS servers. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openStore } from '../../../packages/fleet/src/nats.ts';
import { attackRun } from '../../../packages/fleet/test/attacks.ts';
import { connectAs, type NatsCluster, type Role, startNatsCluster } from '../../../packages/fleet/test/nats-cluster.ts';
import { hasNatsServer, type NatsServer, startNatsServer } from '../../../packages/fleet/test/nats-server.ts';
import { openViewer } from '../../../packages/server/test/test-viewer.ts';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { openStepWitness } from '../../../packages/train/test/step-witness.ts';
import { readReport, runToReport, startCoordinator, startModelCommand, startRelay, startWorker } from './processes.ts';

const folder = temporaryFolder();
const steps = ['--steps', '400'];
writeFileSync(join(folder, 'prose.txt'), 'the whale and the sea and a sailor saw it\n'.repeat(60));
const prose = ['--data', join(folder, 'prose.txt')];
const { report: expected } = await runToReport(folder, ['--single', ...steps]);

describe.skipIf(!hasNatsServer)('with nats-server', () => {
  let server: NatsServer;

  beforeAll(async () => {
    server = await startNatsServer();
  });
  afterAll(() => server.close());

  it.each([
    ['killed', [], ['--augment', 'shift']],
    ['text', prose, ['--model', 'gpt-nano', '--batch', '120', '--sample-every', '100']],
  ])('kill -9 of the coordinator: the standby goes on, the worker follows, nothing changes: %s', async (...row) => {
    const [name, data, more] = row;
    const recipe = [...steps, ...data, ...more];
    const { report: expected } = await runToReport(folder, ['--single', ...recipe]);
    const fleet = ['--fleet', server.url, '--run', name];
    const args = [...recipe, ...fleet, '--port', '0', '--checkpoint-every', '20', '--standby'];
    const file = join(folder, `${name}.json`);
    const transcript = join(folder, `${name}.transcript`);
    const first = startCoordinator('coordinator', [...args, '--transcript', join(folder, `${name}.first`)]);
    const [, url = ''] = await first.printed(/--url (ws:\S+)/);
    const second = startCoordinator('coordinator', [...args, '--report', file, '--transcript', transcript]);
    await second.printed(new RegExp(`^Standby: .* leads run ${name} of the fleet at nats://127`, 'm'));
    const witness = await openStepWitness(url);
    await witness.reached(60);
    const worker = startWorker([...fleet, '--name', 'faithful']);
    await worker.printed(/joined as/);
    first.kill('SIGKILL');
    const [, , resumedAt] = await second.printed(
      new RegExp(`^Resumed from (checkpoint-\\S+) in run ${name} of the fleet at .*, after step (\\d+) of 400`, 'm'),
    );
    expect(await second.ended).toMatchObject({ code: 0, stderr: '' });
    expect(await worker.ended).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/: rejoined as w\d+\n.*run has finished/s),
    });
    const { weightsSha256, samples } = readReport(file);
    expect({ weightsSha256, samples }).toEqual({ weightsSha256: expected.weightsSha256, samples: expected.samples });

    const signed = (from: number, to: number) => `Steps ${from} to ${to}: signed by the leader \\S+, key (\\w{64})\n`;
    const exact = new RegExp(
      // A slow audit says how far it is.
      `^(?: +\\d+ of 400 steps\\n)*${signed(1, Number(resumedAt))}${signed(Number(resumedAt) + 1, 400)}` +
        `All 400 steps are exact, up to the weights ${weightsSha256.slice(0, 16)}…; the run finished\n$`,
    );
    for (const place of [[transcript], fleet]) {
      const audited = await startModelCommand(['audit', ...place, ...data]).ended;
      expect(audited).toEqual({ code: 0, stderr: '', stdout: expect.stringMatching(exact) });
      const [, one, two] = exact.exec(audited.stdout)!;
      expect(one).not.toBe(two);
    }
    const store = await openStore({ servers: server.url, role: 'coordinator' });
    const { part } = JSON.parse((await store.values.get(`${name}.transcript`))!.value) as { readonly part: string };
    const bytes = (await store.objects.get(`${name}.transcript.${part}`))!.slice();
    bytes[bytes.length >> 1]! ^= 1;
    await store.objects.put(`${name}.transcript.${part}`, bytes);
    await store.close();
    expect(await startModelCommand(['audit', ...fleet, ...data]).ended).toEqual({
      ...{ code: 2, stdout: '' },
      stderr: expect.stringMatching(
        new RegExp(`^lockstep: run ${name} of the fleet at nats:\\S+: expected a .*, got .*: the file was changed\n$`),
      ),
    });
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
    const args = [...steps, ...fleetOf('coordinator'), '--port', '0', '--checkpoint-every', '20', '--standby'];
    const first = startCoordinator('coordinator', args);
    const [, url = ''] = await first.printed(/--url (ws:\S+)/);
    const second = startCoordinator('coordinator', [...args, '--report', file]);
    await second.printed(/^Standby: .* leads run attacked of the fleet/m);
    const relay = startRelay([...fleetOf('worker'), '--port', '0']);
    await relay.printed(/Join with: /);
    const worker = startWorker([...fleetOf('worker'), '--name', 'faithful']);
    await worker.printed(/joined as/);
    const [witness, viewer] = [await openStepWitness(url), await openViewer(url)];
    // A viewer hears of steps now and then; the witness hears of each, but may be too slow to get a share.
    await Promise.race([witness.reached(60), viewer.next('progress', ({ step }) => step >= 60)]);
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
