/**
 * The files of `deploy/` are well formed, use existing commands and options, and run. Other tests run the servers of
 * `nats`.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Options, parseOptions } from '@lockstep/command';
import { relayCommand, runOptions } from '@lockstep/train/command-line';
import { workerCommand } from '@lockstep/worker/options';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { deployNats } from '../../../packages/fleet/test/nats-cluster.ts';
import { hasNatsServer, type NatsServer, startNatsServer } from '../../../packages/fleet/test/nats-server.ts';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { tinyArgs } from '../../../packages/train/test/tiny-data.ts';
import { readReport, runToReport, startCoordinator, startRelay, startWorker } from './processes.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const read = (file: string): string => readFileSync(join(root, file), 'utf8');

const programs = ['coordinator', 'relay', 'worker'];
const hasSystemd = spawnSync('systemd-analyze', ['--version']).status === 0;

const tables = new Map<string | undefined, Options>([
  ['coordinator', runOptions],
  ['relay', relayCommand.options],
  ['worker', workerCommand.options],
]);

/** @throws CommandFailure if an option is unknown or its value invalid */
function checkCommand([name, ...args]: readonly string[]): void {
  const table = tables.get(name);
  if (!table) throw new Error(`expected one of ${[...tables.keys()].join(', ')}, got ${name}`);
  parseOptions(table, args);
}

describe('deploy/compose.yaml', () => {
  const { services, secrets, volumes } = parse(read('deploy/compose.yaml'), { merge: true });

  it('has NATS, a coordinator with its standby, relays, and workers that come after them', () => {
    expect(Object.keys(services)).toEqual(['nats', 'coordinator', 'standby', 'relay', 'worker']);
    expect(services.worker.depends_on).toEqual({ relay: { condition: 'service_healthy' } });
    expect(services.relay.healthcheck.test.slice(0, 3)).toEqual(['CMD', 'node', '-e']);
    expect(services.relay.command).toContain(
      `--port=${/127\.0\.0\.1:(\d+)/.exec(services.relay.healthcheck.test[3])![1]}`,
    );
    expect(Object.keys(secrets)).toEqual(['coordinator-login', 'worker-login']);
    expect(Object.keys(volumes)).toEqual(['nats-data']);
  });

  it.each(['coordinator', 'standby', 'relay', 'worker'])('%s: its command is one', (name) => {
    const { command, secrets: mounted, build, restart, mem_limit: memory } = services[name];
    checkCommand(command);
    const role = name === 'relay' || name === 'worker' ? 'worker' : 'coordinator';
    expect(mounted).toEqual([`${role}-login`]);
    expect(command).toContain(`--fleet-credentials=/run/secrets/${role}-login`);
    if (name !== 'worker') expect(command).toContain('--addresses=/tmp/addresses');
    // Restarts and memory are limited.
    expect(restart).toMatch(/^on-failure:\d+$/);
    expect(memory).toBeTruthy();
    expect(existsSync(join(root, build.dockerfile))).toBe(true);
  });
});

describe('deploy/systemd', () => {
  const units = readdirSync(join(root, 'deploy/systemd'));

  it('has a unit for each program, which the docs name', () => {
    const names = programs.map((program) => `lockstep-${program}.service`);
    expect(units).toEqual(names);
    for (const name of names) expect(read('docs/fleet.md')).toContain(`deploy/systemd/${name}`);
  });

  it.each(units)('%s: its command is one', (file) => {
    const [, program, command = ''] = /^ExecStart=(\S+) (.*)$/m.exec(read(`deploy/systemd/${file}`)) ?? [];
    expect(program).toBe('/usr/local/bin/lockstep');
    const [name, ...args] = command.split(' ');
    checkCommand([name!, ...args]);
    expect(file).toBe(`lockstep-${name}.service`);
    // NATS or the coordinator may start later than the unit; a usage error is not retried.
    expect(args).toContain(name === 'coordinator' ? '--standby' : '--wait');
    expect(read(`deploy/systemd/${file}`)).toMatch(/^RestartPreventExitStatus=2$/m);
    // The threshold below would accept root.
    expect(read(`deploy/systemd/${file}`)).toMatch(/^DynamicUser=yes$/m);
    expect(read(`deploy/systemd/${file}`)).not.toMatch(/^User=/m);
  });

  it.each(units.filter((file) => !file.includes('worker')))(
    '%s: secrets are in a folder of root, not in the journal',
    (file) => {
      const text = read(`deploy/systemd/${file}`);
      const [, directory] = /^RuntimeDirectory=(\S+)\nRuntimeDirectoryMode=0700$/m.exec(text)!;
      expect(text).toContain(` --addresses=%t/${directory}/addresses\n`);
    },
  );

  // The program is installed in another place here, so its folder must be replaced by an existing one.
  const folder = temporaryFolder();
  it.runIf(hasSystemd).each(units)(
    '%s: systemd takes it, and finds little that it could do besides its work',
    (file) => {
      const copy = join(folder, file);
      writeFileSync(copy, read(`deploy/systemd/${file}`).replace(/^ExecStart=\S+/m, 'ExecStart=/bin/true'));
      const analyze = (...args: string[]) => spawnSync('systemd-analyze', args, { encoding: 'utf8' });
      expect(analyze('verify', '--man=no', copy)).toMatchObject({ status: 0, stderr: '' });
      // In tenths of the scale from 0 to 10.
      const security = analyze('security', '--offline=true', '--no-pager', '--threshold=20', copy);
      expect(security, security.stdout).toMatchObject({ status: 0 });
    },
  );
});

describe('deploy/Dockerfile', () => {
  const text = read('deploy/Dockerfile');

  it('runs as no root, begins with stages of one image, and copies from stages that there are', () => {
    const stages = [...text.matchAll(/^FROM (\S+)(?: AS (\w+))?$/gm)];
    expect(stages.map(([, image, name]) => [image, name])).toEqual([
      ['node:22-slim', 'build'],
      ['node:22-slim', 'install'],
      ['node:22-slim', undefined],
    ]);
    const copied = [...text.matchAll(/--from=(\w+)/g)].map(([, stage]) => stage);
    expect(copied).toEqual(['build', 'install']);
    expect(text.slice(stages.at(-1)!.index)).toMatch(/^USER node$/m);
  });

  it('sets up commands that there are, and installs the client of NATS in the version of packages/fleet', () => {
    const product = JSON.stringify(read('apps/lockstep/programs.mjs'));
    const names = [...text.matchAll(/lockstep\.mjs (\w+)/g)].map(([, name]) => name!);
    expect(names).toEqual(['coordinator', 'worker', 'relay', 'evaluate']);
    for (const name of names) expect(product).toContain(`${name}: {`);
    const { dependencies } = JSON.parse(read('packages/fleet/package.json'));
    const installed = [...text.matchAll(/(@nats-io\/[\w-]+)@(\S+)/g)].map(([, name, version]) => [name, version]);
    expect(Object.fromEntries(installed)).toEqual(dependencies);
  });
});

describe('the guides to several machines', () => {
  const text = `${read('docs/deploying.md')}\n${read('docs/fleet.md')}`;
  const named = [...text.matchAll(/^(?:\w+=\S+ )?npx lockstep (coordinator|worker|relay) ([^\n#]*)/gm)];

  it('name commands with options that exist', () => {
    expect(named.length).toBeGreaterThan(4);
    for (const [, name, options] of named) checkCommand([name!, ...options!.trim().split(/\s+/)]);
  });

  it('name files that exist', () => {
    const files = [...text.matchAll(/\bdeploy\/[\w./-]*\w/g)].map(([file]) => file);
    expect(files.filter((file) => !existsSync(join(root, file)))).toEqual([]);
    expect(files.length).toBeGreaterThan(4);
  });
});

/** The commands of `compose.yaml` as processes over a NATS server: their starting order changes no bit. */
describe.skipIf(!hasNatsServer)('deploy/compose.yaml, with nats-server', () => {
  const { services } = parse(read('deploy/compose.yaml'), { merge: true });
  const folder = temporaryFolder();
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
    server = await startNatsServer([...args, '--addr', '127.0.0.1', '--port', '-1']);
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
