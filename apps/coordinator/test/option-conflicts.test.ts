import { CommandFailure, parseOptions } from '@lockstep/command';
import { runCommands } from '@lockstep/train/command-line';
import { describe, expect, it } from 'vitest';

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
  init: ['model.safetensors'],
  run: ['name'],
  'fleet-credentials': ['file'],
  'fleet-ca': ['file'],
  'inner-lr': ['0.1'],
  'inner-momentum': ['0.5'],
};
const words = (name: string): string[] => [`--${name}`, ...(given[name] ?? [])];

const noSocket = 'expected without --single, which opens no socket';
const alone = 'expected without --single, which computes in this process alone';
const noTraining = 'expected without --summary, which trains nothing';

const serving = [
  ...['host', 'port', 'token', 'token-file', 'public-view', 'tls', 'tls-cert', 'tls-key', 'allow-origin'],
  ...['wait-for-start', 'chaos', 'stay', 'fleet', 'standby', 'announce', 'addresses'],
];

describe('beside --single', () => {
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

describe('beside --summary', () => {
  it.each([...['save', 'report', 'verify', 'checkpoint', 'checkpoint-every', 'resume', 'init'], ...serving])(
    '--%s is refused',
    (name) => {
      expect(faultOf(['--summary', ...words(name)])).toBe(`--${name}: ${noTraining}`);
    },
  );

  it('the model, its data and their options are fine', () => {
    expect(faultOf(['--summary', '--model', 'cnn', '--data', 'pets', '--size', '32x32', '--gray'])).toBeUndefined();
  });
});

describe('an option that belongs to another', () => {
  const fleet = 'expected with --fleet URL, because it applies only to a fleet';
  const folder = 'expected with --checkpoint DIR, the folder that holds the checkpoints';
  const inner = 'expected with --replicas M or --inner-steps H, because it applies only to inner steps';
  it.each([
    ['standby', fleet, ['--fleet', 'nats://a']],
    ['announce', fleet, ['--fleet', 'nats://a']],
    ['run', fleet, ['--fleet', 'nats://a']],
    ['fleet-credentials', fleet, ['--fleet', 'nats://a']],
    ['fleet-ca', fleet, ['--fleet', 'nats://a']],
    ['resume', folder, ['--checkpoint', 'x']],
    ['checkpoint-every', folder, ['--checkpoint', 'x']],
    ['checkpoint-every', folder, ['--fleet', 'nats://a']],
    ['inner-lr', inner, ['--replicas', '8']],
    ['inner-momentum', inner, ['--inner-steps', '50']],
  ])('--%s: %s, as %j', (name, message, owner) => {
    expect(faultOf(words(name))).toBe(`--${name}: ${message}`);
    expect(faultOf([...words(name), ...owner])).toBeUndefined();
  });

  it.each(['checkpoint', 'resume'])('--%s is refused beside --fleet', (name) => {
    const because = 'which stores checkpoints and resumes from the newest by itself';
    expect(faultOf(['--fleet', 'nats://a', ...words(name)])).toBe(`--${name}: expected without --fleet, ${because}`);
  });
});

it.each([
  [['--data', 'upload', '--single'], '--single: expected without --data upload, whose page needs a socket'],
  [['--data', 'upload', '--summary'], '--summary: expected without --data upload, whose page takes the data of a run'],
  [['--label', 'x'], '--label: expected with --data PATH, because it says how to read the data'],
  [['--data', 'upload', '--gray'], '--gray: expected without --data upload, whose page asks for it'],
])('%j is refused', (args, message) => {
  expect(faultOf(args)).toBe(message);
});
