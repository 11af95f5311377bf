/** The commands of `deploy/compose.yaml` as processes over a NATS server: their starting order changes no bit. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { deployNats } from '../../../packages/fleet/test/nats-cluster.ts';
import { hasNatsServer, type NatsServer, startNatsServer } from '../../../packages/fleet/test/nats-server.ts';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { tinyArgs } from '../../../packages/train/test/tiny-data.ts';
import { readReport, runToReport, startCoordinator, startRelay, startWorker } from './processes.ts';

const file = fileURLToPath(new URL('../../../deploy/compose.yaml', import.meta.url));
const { services } = parse(readFileSync(file, 'utf8'), { merge: true });
const folder = temporaryFolder();

describe.skipIf(!hasNatsServer)('deploy/compose.yaml, with nats-server', () => {
  let server: NatsServer;
  const nats = join(folder, 'nats');

  /** The arguments of a service, limited to this machine; each service writes its addresses to its own file. */
  let started = 0;
  const argumentsOf = (service: string): string[] => {
    const [, role] = /--fleet-credentials=\S+\/(\w+)-login/.exec(services[service].command.join(' '))!;
    const here = {
      ...{ fleet: server.url, 'fleet-credentials': join(nats, `${role}.login`), host: '127.0.0.1', port: '0' },
      addresses: join(folder, `${service}-${++started}`),
    };
    const given = (services[service].command as string[]).slice(1).map((arg) => /^--([\w-]+)(?:=.*)?$/.exec(arg)![1]!);
    const replaced = given.filter((name) => name in here).map((name) => `--${name}=${here[name as keyof typeof here]}`);
    const kept = services[service].command.slice(1).filter((_: string, at: number) => !(given[at]! in here));
    return [...kept, ...replaced];
  };

  beforeAll(async () => {
    mkdirSync(nats);
    deployNats(nats);
    const { entrypoint, command } = services.nats as { entrypoint: string[]; command: string[] };
    expect(entrypoint).toEqual(['nats-server']);
    const args = command.map((arg) => arg.replace('/etc/nats', nats).replace('/data', join(folder, 'data')));
    server = await startNatsServer({ args: [...args, '--addr', '127.0.0.1', '--port', '-1'] });
  });
  afterAll(() => server.close());

  it('relays that start first wait for the coordinator, take the workers, and learn its token', async () => {
    const relays = ['one', 'other'].map((name) => startRelay([...argumentsOf('relay'), '--name', name]));
    for (const relay of relays) await relay.printed(/its servers have no records/);
    const training = [...(await tinyArgs(folder)), '--epochs', '2'];
    const report = join(folder, 'report.json');
    const own = ['--token', 'secret-of-the-run', '--report', report, ...training];
    const coordinator = startCoordinator('coordinator', [...argumentsOf('coordinator'), ...own]);
    for (const relay of relays) await relay.printed(/The addresses for joining and watching are in /);
    expect(readFileSync(join(folder, 'relay-1'), 'utf8')).toMatch(/^Join with: LOCKSTEP_TOKEN=secret-of-the-run /);
    const workers = Array.from({ length: 3 }, () => startWorker(argumentsOf('worker')));
    const { report: expected } = await runToReport(folder, ['--single', ...training]);
    expect(await coordinator.ended).toMatchObject({ code: 0, stderr: '' });
    for (const program of [...workers, ...relays]) expect(await program.ended).toMatchObject({ code: 0 });
    const { weightsSha256, exactness, workers: taking } = readReport(report);
    expect({ weightsSha256, exactness }).toEqual({ weightsSha256: expected.weightsSha256, exactness: 'bit-exact' });
    expect(taking.filter(({ kind, samples }) => kind === 'relay' && samples > 0).length).toBeGreaterThan(0);
  });
});
