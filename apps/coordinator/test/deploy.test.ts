/** The files of `deploy/` are well formed, and name commands and options that there are. None of them is run here. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseOptions } from '@lockstep/command';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { commands } from '../src/options.ts';
import { startRelay, startWorker } from './processes.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const read = (file: string): string => readFileSync(join(root, file), 'utf8');

const helpOf: Readonly<Record<string, string>> = {
  worker: (await startWorker(['--help']).ended).stdout,
  relay: (await startRelay(['--help']).ended).stdout,
};

/** @throws CommandFailure where an option of the coordinator is unknown, or has no such value */
function checkCommand([name, ...args]: readonly string[]): void {
  expect(['coordinator', ...Object.keys(helpOf)]).toContain(name);
  if (name === 'coordinator') parseOptions(commands.coordinator.options, args);
  else
    for (const option of args.filter((arg) => arg.startsWith('--'))) {
      expect(helpOf[name!]).toContain(`  ${option.split('=')[0]}`);
    }
}

interface Container {
  readonly name: string;
  readonly image?: string;
  readonly args?: readonly string[];
  readonly env?: readonly { readonly name: string }[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly readinessProbe?: Readonly<Record<string, { readonly port?: string }>>;
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
}

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly selector: Readonly<Record<string, unknown>>;
    readonly template?: {
      readonly metadata: { readonly labels: Readonly<Record<string, string>> };
      readonly spec: {
        readonly containers: readonly Container[];
        readonly volumes: readonly {
          readonly name: string;
          readonly secret: { readonly items: readonly { readonly path: string }[] };
        }[];
      };
    };
  };
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
    expect(Object.keys(secrets)).toEqual(['nats-login']);
    expect(Object.keys(volumes)).toEqual(['nats-data']);
  });

  it.each(['coordinator', 'standby', 'relay', 'worker'])('%s: its command is one', (name) => {
    const { command, secrets: mounted, build } = services[name];
    checkCommand(command);
    expect(command).toContain(`--fleet-credentials=/run/secrets/${mounted[0]}`);
    expect(existsSync(join(root, build.dockerfile))).toBe(true);
  });
});

describe('deploy/kubernetes', () => {
  const documents = readdirSync(join(root, 'deploy/kubernetes')).flatMap((file) =>
    parseAllDocuments(read(`deploy/kubernetes/${file}`)),
  );
  const manifests = documents.map((document) => document.toJS() as Manifest);
  const deployments = manifests.filter(({ kind }) => kind === 'Deployment');

  it('is YAML with a deployment for each program and a service that selects the coordinators', () => {
    expect(documents.flatMap(({ errors }) => errors)).toEqual([]);
    const names = ['lockstep-coordinator', 'lockstep-relay', 'lockstep-worker'];
    expect(deployments.map(({ metadata }) => metadata.name)).toEqual(names);
    const service = manifests.find(({ kind }) => kind === 'Service')!;
    expect(service.spec.selector).toEqual(deployments[0]!.spec.template!.metadata.labels);
  });

  it.each(deployments)('$metadata.name: commands, labels, ports and volumes fit together', ({ metadata, spec }) => {
    const { metadata: podMetadata, spec: pod } = spec.template!;
    expect(spec.selector['matchLabels']).toEqual(podMetadata.labels);
    for (const container of pod.containers) {
      const { name, args, volumeMounts } = container;
      checkCommand(args!);
      expect([name, metadata.name]).toEqual([args![0], `lockstep-${name}`]);
      const [mount] = volumeMounts;
      const volume = pod.volumes.find((one) => one.name === mount!.name);
      const path = `${mount!.mountPath}/${volume!.secret.items[0]!.path}`;
      expect(args).toContain(`--fleet-credentials=${path}`);
      checkPorts(container);
    }
  });
});

/** What listens is told of by the pod's address, and probed at the port that it listens on. */
function checkPorts({ args, env = [], ports = [], readinessProbe = {} }: Container): void {
  const listens = args!.filter((arg) => /^--(?:host|port|announce)=/.test(arg));
  const expected = ports.flatMap(({ containerPort }) => [
    '--host=0.0.0.0',
    `--port=${containerPort}`,
    `--announce=ws://$(POD_IP):${containerPort}`,
  ]);
  expect(listens).toEqual(expected);
  expect(env.map(({ name }) => name)).toEqual(ports.map(() => 'POD_IP'));
  const probed = Object.values(readinessProbe).flatMap(({ port }) => port ?? []);
  expect(probed).toEqual(ports.map(({ name }) => name));
}

describe('deploy/systemd', () => {
  const units = readdirSync(join(root, 'deploy/systemd'));

  it('has a unit for each program, which the docs name', () => {
    const names = ['coordinator', 'relay', 'worker'].map((program) => `lockstep-${program}.service`);
    expect(units).toEqual(names);
    for (const name of names) expect(read('docs/deploying.md')).toContain(`deploy/systemd/${name}`);
  });

  it.each(units)('%s: its command is one', (file) => {
    const [, program, command = ''] = /^ExecStart=(\S+) (.*)$/m.exec(read(`deploy/systemd/${file}`)) ?? [];
    expect(program).toBe('/usr/local/bin/lockstep');
    checkCommand(command.split(' '));
    expect(file).toBe(`lockstep-${command.split(' ')[0]}.service`);
  });
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
    const product = JSON.stringify(read('apps/lockstep/commands.mjs'));
    const names = [...text.matchAll(/lockstep\.mjs (\w+)/g)].map(([, name]) => name!);
    expect(names).toEqual(['coordinator', 'worker', 'relay', 'evaluate']);
    for (const name of names) expect(product).toContain(`${name}: {`);
    const { dependencies } = JSON.parse(read('packages/fleet/package.json'));
    const installed = [...text.matchAll(/(@nats-io\/[\w-]+)@(\S+)/g)].map(([, name, version]) => [name, version]);
    expect(Object.fromEntries(installed)).toEqual(dependencies);
  });
});

describe('docs/deploying.md', () => {
  const text = read('docs/deploying.md');
  const named = [...text.matchAll(/^(?:\w+=\S+ )?npx lockstep (coordinator|worker|relay) ([^\n#]*)/gm)];

  it('names commands with options that there are', () => {
    expect(named.length).toBeGreaterThan(4);
    for (const [, name, options] of named) checkCommand([name!, ...options!.trim().split(/\s+/)]);
  });

  it('names files that there are', () => {
    const files = [...text.matchAll(/\bdeploy\/[\w./-]*\w/g)].map(([file]) => file);
    expect(files.filter((file) => !existsSync(join(root, file)))).toEqual([]);
    expect(files.length).toBeGreaterThan(4);
  });
});
