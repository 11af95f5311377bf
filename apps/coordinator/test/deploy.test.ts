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
  readonly image?: string;
  readonly args?: readonly string[];
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
        readonly volumes: readonly { readonly name: string }[];
      };
    };
  };
}

describe('deploy/compose.yaml', () => {
  const { services, secrets, volumes } = parse(read('deploy/compose.yaml'), { merge: true });

  it('has NATS, a coordinator with its standby, and workers', () => {
    expect(Object.keys(services)).toEqual(['nats', 'coordinator', 'standby', 'worker']);
    expect(Object.keys(secrets)).toEqual(['nats-login']);
    expect(Object.keys(volumes)).toEqual(['nats-data']);
  });

  it.each(['coordinator', 'standby', 'worker'])('%s: its command is one', (name) => {
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

  it('is YAML with two deployments and a service that selects the coordinators', () => {
    expect(documents.flatMap(({ errors }) => errors)).toEqual([]);
    expect(deployments.map(({ metadata }) => metadata.name)).toEqual(['lockstep-coordinator', 'lockstep-worker']);
    const service = manifests.find(({ kind }) => kind === 'Service')!;
    expect(service.spec.selector).toEqual(deployments[0]!.spec.template!.metadata.labels);
  });

  it.each(deployments)('$metadata.name: commands, labels and volumes fit together', ({ spec }) => {
    const { metadata, spec: pod } = spec.template!;
    expect(spec.selector['matchLabels']).toEqual(metadata.labels);
    for (const { args, volumeMounts } of pod.containers) {
      checkCommand(args!);
      const mounted = volumeMounts.map(({ name }) => pod.volumes.find((volume) => volume.name === name));
      expect(mounted).not.toContain(undefined);
      expect(args!.find((arg) => arg.startsWith('--fleet-credentials='))).toContain(volumeMounts[0]!.mountPath);
    }
  });
});

describe('deploy/systemd', () => {
  it.each(readdirSync(join(root, 'deploy/systemd')))('%s: its command is one', (file) => {
    const [, program, command = ''] = /^ExecStart=(\S+) (.*)$/m.exec(read(`deploy/systemd/${file}`)) ?? [];
    expect(program).toBe('/usr/local/bin/lockstep');
    checkCommand(command.split(' '));
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
