/**
 * The files of `deploy/` are well formed, and use existing commands and options. Other tests run the commands of
 * `compose.yaml` and the servers of `nats`.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Options, parseOptions } from '@lockstep/command';
import { relayCommand, runOptions } from '@lockstep/train/command-line';
import { workerCommand } from '@lockstep/worker/options';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';

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
