/** Options that exclude or require each other, options of a certificate, and `--summary`. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CommandFailure, parseOptions, tlsOf, tlsOptions } from '@lockstep/command';
import { runCommands } from '@lockstep/train/command-line';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { tinyArgs } from '../../../packages/train/test/tiny-data.ts';
import { runInside } from './processes.ts';

const faultOf = (args: readonly string[], command: keyof typeof runCommands = 'start'): string | undefined => {
  try {
    parseOptions(runCommands[command].options, args);
    return undefined;
  } catch (error) {
    if (error instanceof CommandFailure && error.exitCode === 2) return error.message;
    throw error;
  }
};

/** Arguments that give each option a value other than its default. */
const given: Readonly<Record<string, readonly string[]>> = {
  workers: ['2'],
  'verify-rate': ['0.5'],
  host: ['127.0.0.1'],
  port: ['7070'],
  token: ['secret'],
  'token-file': ['file'],
  'tls-cert': ['cert.pem'],
  'tls-key': ['key.pem'],
  'allow-origin': ['https://page.example'],
  fleet: ['nats://127.0.0.1'],
  announce: ['wss://page.example'],
  addresses: ['file'],
  save: ['model.safetensors'],
  report: ['report.json'],
  checkpoint: ['folder'],
  'checkpoint-every': ['50'],
  'checkpoint-keep': ['5'],
  transcript: ['run.transcript'],
  init: ['model.safetensors'],
  run: ['name'],
  'fleet-credentials': ['file'],
  'fleet-ca': ['file'],
  'inner-lr': ['0.1'],
  'inner-momentum': ['0.5'],
};
const words = (name: string): string[] => [`--${name}`, ...(given[name] ?? [])];

const noSocket = 'cannot be combined with --single, which opens no socket';
const alone = 'cannot be combined with --single, which computes in this process alone';
const noTraining = 'cannot be combined with --summary, which trains nothing';

const serving = [
  ...['host', 'port', 'token', 'token-file', 'public-view', 'tls', 'tls-cert', 'tls-key', 'allow-origin'],
  ...['wait-for-start', 'chaos', 'stay', 'fleet', 'standby', 'announce', 'addresses'],
];

describe('with --single', () => {
  it.each([...serving, 'colocate'])('--%s is refused, in any order', (name) => {
    expect(faultOf(['--single', ...words(name)])).toBe(`--${name}: ${noSocket}`);
    expect(faultOf([...words(name), '--single'])).toBe(`--${name}: ${noSocket}`);
  });

  it.each(['workers', 'verify-rate'])('--%s is refused, also with its default', (name) => {
    expect(faultOf(['--single', ...words(name)])).toBe(`--${name}: ${alone}`);
    const { default: usual } = runCommands.start.options[name as 'workers'];
    expect(faultOf(['--single', `--${name}`, `${usual}`])).toBe(`--${name}: ${alone}`);
  });

  it.each([
    [[]],
    [['--workers', '0', '--port', '0', '--verify-rate', '0']],
    [['--expect', '30']],
    [['--microbatch', '16', '--batch', '64']],
    [['--threads', '4', '--backend', 'reference']],
    [['--gradients', 'fp16-exact']],
    [['--verify', '--save', 'model.onnx', '--report', 'report.json']],
    [['--checkpoint', 'folder', '--checkpoint-every', '5m', '--resume']],
    [['--data', 'iris.csv', '--init', 'model.safetensors', '--seed', '7']],
    [['--replicas', '8', '--inner-lr', '0.1']],
  ])('%j is fine, for both commands', (args) => {
    expect(faultOf(['--single', ...args])).toBeUndefined();
    expect(faultOf(['--single', ...args], 'coordinator')).toBeUndefined();
  });
});

describe('with --summary', () => {
  it.each([
    ...['save', 'report', 'verify', 'init', 'transcript'],
    ...['checkpoint', 'checkpoint-every', 'checkpoint-keep', 'resume'],
    ...serving,
  ])('--%s is refused', (name) => {
    expect(faultOf(['--summary', ...words(name)])).toBe(`--${name}: ${noTraining}`);
  });

  it('the model, its data and their options are fine', () => {
    expect(faultOf(['--summary', '--model', 'cnn', '--data', 'pets', '--size', '32x32', '--gray'])).toBeUndefined();
  });
});

describe('an option that belongs to another', () => {
  const fleet = 'requires --fleet URL, because it applies only to a fleet';
  const folder = 'requires --checkpoint DIR, the folder that holds the checkpoints';
  const inner = 'requires --replicas M or --inner-steps H, because it applies only to inner steps';
  it.each([
    ['standby', fleet, ['--fleet', 'nats://a']],
    ['announce', fleet, ['--fleet', 'nats://a']],
    ['run', fleet, ['--fleet', 'nats://a']],
    ['fleet-credentials', fleet, ['--fleet', 'nats://a']],
    ['fleet-ca', fleet, ['--fleet', 'nats://a']],
    ['resume', folder, ['--checkpoint', 'x']],
    ['checkpoint-every', folder, ['--checkpoint', 'x']],
    ['checkpoint-every', folder, ['--fleet', 'nats://a']],
    ['checkpoint-keep', folder, ['--checkpoint', 'x']],
    ['inner-lr', inner, ['--replicas', '8']],
    ['inner-momentum', inner, ['--inner-steps', '50']],
  ])('--%s: %s, as %j', (name, message, owner) => {
    expect(faultOf(words(name))).toBe(`--${name}: ${message}`);
    expect(faultOf([...words(name), ...owner])).toBeUndefined();
  });

  it.each(['checkpoint', 'resume'])('--%s is refused with --fleet', (name) => {
    const because = 'which stores checkpoints and resumes from the newest automatically';
    expect(faultOf(['--fleet', 'nats://a', ...words(name)])).toBe(
      `--${name}: cannot be combined with --fleet, ${because}`,
    );
  });
});

it.each([
  [['--data', 'upload', '--single'], '--single: cannot be combined with --data upload, whose page needs a socket'],
  [
    ['--data', 'upload', '--summary'],
    '--summary: cannot be combined with --data upload, whose page takes the data of a run',
  ],
  [['--label', 'x'], '--label: requires --data PATH, because it says how to read the data'],
  [['--data', 'upload', '--gray'], '--gray: cannot be combined with --data upload, whose page asks for it'],
])('%j is refused', (args, message) => {
  expect(faultOf(args)).toBe(message);
});

const folder = temporaryFolder();
const file = join(folder, 'text.pem');
writeFileSync(file, 'a text');
const tlsFrom = (...args: readonly string[]) => tlsOf(parseOptions(tlsOptions, args));

describe('the options of a certificate', () => {
  it('name files, whose texts are read', () => {
    const text = readFileSync(file, 'utf8');
    expect(tlsFrom('--tls-cert', file, '--tls-key', file)).toEqual({ cert: text, key: text });
  });

  it.each<[name: string, args: readonly string[], message: RegExp]>([
    [
      'a certificate alone',
      ['--tls-cert', file],
      /^--tls-cert: requires --tls-key, the private key of the certificate$/,
    ],
    ['a key alone', ['--tls-key', file], /^--tls-key: requires --tls-cert, the certificate of the key$/],
    ['both ways', ['--tls', '--tls-cert', file, '--tls-key', file], /^--tls: cannot be combined with/],
    ['a missing file', ['--tls-cert', '/nowhere', '--tls-key', file], /^--tls-cert: \/nowhere: no such file or folder/],
  ])('cannot be %s', (_name, args, message) => {
    const use = (): unknown => tlsFrom(...args);
    expect(use).toThrow(CommandFailure);
    expect(use).toThrow(message);
  });

  it('are named with their files if these are not a certificate and its key', async () => {
    const args = [...(await tinyArgs(folder)), '--tls-cert', file, '--tls-key', file];
    const { code, stderr } = await runInside('coordinator', ['start', ...args]);
    const sentence = `--tls-cert ${file}: expected a PEM certificate that --tls-key ${file} belongs to`;
    expect({ code, stderr }).toEqual({ code: 2, stderr: `lockstep: ${sentence}\n` });
  });
});

describe('--summary', () => {
  it('shows the layers and trains nothing', async () => {
    const { code, stdout, stderr } = await runInside('coordinator', ['start', '--summary', '--model', 'cnn']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('Total: 11,274 parameters');
    expect(stdout.trimEnd().split('\n').at(-1)).toMatch(/^Total:/);
  });

  it('shows the model as it is for the data', async () => {
    const { code, stdout } = await runInside('coordinator', ['start', '--summary', '--data', 'docs/iris.csv']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^iris\.csv: 150 rows/);
    expect(stdout).toContain('Total: 1,027 parameters');
  });
});
