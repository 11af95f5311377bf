/**
 * Commands and links in the documents exist, and their programs run as written. Some commands run here, with less work,
 * and all in the long tests.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseOptions } from '@lockstep/command';
import { createPrediction, initialize, inputSize, parameterCount, resolveModel } from '@lockstep/nn';
import { openBackend } from '@lockstep/tensor';
import { runCommands } from '@lockstep/train/command-line';
import { describe, expect, it } from 'vitest';
import {
  documentedCommands as commands,
  documentedModels,
  documentedPrograms,
  documents,
  wordsOf,
} from './documents.ts';
import { runInside, startNpm, startProgram } from './processes.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const scripts = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).scripts as Record<string, string>;

/** Programs other than coordinator, worker and relay, with their first arguments. */
const programs: Readonly<Record<string, readonly string[]>> = {
  evaluate: ['lockstep/dist/main.js', 'evaluate'],
  predict: ['lockstep/dist/main.js', 'predict'],
  generate: ['lockstep/dist/main.js', 'generate'],
  export: ['lockstep/dist/main.js', 'export'],
  audit: ['lockstep/dist/main.js', 'audit'],
  example: ['../examples/dist/src/main.js'],
  compare: ['bench/dist/main.js', 'compare'],
  bench: ['bench/dist/main.js', 'bench'],
  simulate: ['simulate/dist/main.js'],
};
/** Scripts without a table of options, with all arguments by which the documents call them. */
const plain: Readonly<Record<string, readonly string[]>> = {
  ...{ test: [], 'test:all': [], setup: [], docs: [], engines: [], 'tfjs-node': [] },
  site: ['--serve'],
};

const mostWordsOfGuide = 900;
const mostWords: Readonly<Record<string, number>> = { 'README.md': 1_500, 'ARCHITECTURE.md': 2_500 };
/** Documents in which people look something up. */
const lists: ReadonlySet<string> = new Set(['docs/options.md']);

const helps = new Map<string, string>();

async function helpOf(name: string, args: readonly string[]): Promise<string> {
  // Each chapter of the lesson has its own options.
  const chapter = name === 'example' && /^[a-z]/.test(args[0] ?? '') ? [args[0]!] : [];
  const key = [name, ...chapter].join(' ');
  const help = helps.get(key) ?? (await printedHelp(name, chapter));
  helps.set(key, help);
  return help;
}

async function printedHelp(name: string, chapter: readonly string[]): Promise<string> {
  if (name in runCommands) return (await runInside('coordinator', [name, '--help', 'all'])).stdout;
  if (name === 'worker' || name === 'relay') return (await runInside(name, ['--help', 'all'])).stdout;
  const [program, ...first] = programs[name]!;
  const words = [join(root, 'apps', program!), ...first, ...chapter, '--help', 'all'];
  const { status, stdout } = spawnSync(process.execPath, words, { encoding: 'utf8' });
  expect(status).toBe(0);
  return stdout;
}

/** Anchor of a heading, as GitHub makes it. */
function anchorOf(heading: string): string {
  const words = heading.toLowerCase().replaceAll(/[^\p{L}\p{N}\s-]/gu, '');
  return words.trim().replaceAll(/\s/g, '-');
}

describe('the documents', () => {
  it.each([...documents])('%s links to files and headings that exist', (path, text) => {
    const links = [...text.matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)];
    for (const [link, file, anchor] of links) {
      const target = file === '' ? path : join(dirname(path), file!);
      expect(existsSync(join(root, target)), `${path}: ${link}`).toBe(true);
      if (anchor === undefined) continue;
      const headings = [...documents.get(target)!.matchAll(/^#+ (.*)$/gm)].map(([, heading]) => anchorOf(heading!));
      expect(headings, `${path}: ${link}`).toContain(anchor);
    }
  });

  it.each([...documents].filter(([path]) => !lists.has(path)))('%s is short', (path, text) => {
    expect(text.trim().split(/\s+/).length).toBeLessThanOrEqual(mostWords[path] ?? mostWordsOfGuide);
  });

  it('name commands, and a worker that joins', () => {
    expect(commands.length).toBeGreaterThan(8);
    expect(commands).toContain('npm run worker -- --url ws://127.0.0.1:7070');
  });

  it.each(commands)('%s exists, with its options', async (command) => {
    const { name, args } = wordsOf(command);
    expect(scripts[name]).toBe(`exec node scripts/lockstep.mjs ${name}`);
    if (plain[name]) return expect(plain[name]).toEqual(expect.arrayContaining([...args]));
    const help = await helpOf(name, args);
    for (const option of args.filter((arg) => arg.startsWith('--')))
      expect(help).toMatch(new RegExp(`^ +${option}\\b`, 'm'));
    if (name === 'start' || name === 'coordinator') {
      parseOptions(runCommands[name].options, args);
    }
  });

  it.each(['docs', 'setup'])('npm run %s refuses arguments, which it does not take', (name) => {
    const { status, stderr } = spawnSync(process.execPath, [join(root, 'scripts/lockstep.mjs'), name, '--foo'], {
      encoding: 'utf8',
    });
    expect({ status, stderr }).toEqual({ status: 2, stderr: `lockstep: ${name}: expected no arguments, got --foo\n` });
  });

  it.each<[command: string, less: readonly string[]]>([
    ['npm start', ['--steps', '5', '--port', '0']],
    ['npm run simulate', ['--runs', '3']],
  ])('%s runs, with less to do: %j', async (command, less) => {
    const { code, stdout, stderr } = await startNpm([...command.split(' ').slice(1), '--', ...less]).ended;
    expect({ code, ends: code === 0 ? '' : `${stdout}${stderr}`.slice(-2_000) }).toEqual({ code: 0, ends: '' });
  });

  it('npm run coordinator, a relay that joins it, and a worker that joins that', async () => {
    const coordinator = startNpm(['run', 'coordinator', '--', '--steps', '5', '--port', '0']);
    const [, url = ''] = await coordinator.printed(/--url (ws:\S+)/);
    const relay = startNpm(['run', 'relay', '--', '--url', url, '--port', '0']);
    // npm also prints the command itself, which includes the coordinator's address.
    const [, below = ''] = await relay.printed(/Join with: .*--url (ws:\S+)/);
    const worker = startNpm(['run', 'worker', '--', '--url', below]);
    for (const program of [worker, relay]) expect(await program.ended).toMatchObject({ code: 0 });
    expect(await coordinator.ended).toMatchObject({ code: 0 });
  });
});

describe('their models', () => {
  it('are three', () => {
    expect(documentedModels).toHaveLength(3);
  });

  it.each(documentedModels.map((text) => resolveModel(text)))('$name predicts finite scores', async (model) => {
    const { backend } = await openBackend('cpu');
    const parameters = backend.allocate(parameterCount(model));
    backend.upload(parameters, initialize(model, 1));
    const plan = createPrediction(backend, model, 1, parameters);
    plan.run(new Uint8Array(inputSize(model)).fill(1));
    expect((await backend.download(plan.output)).every(Number.isFinite)).toBe(true);
  });
});

/** Folder from which the program's imports are resolved. */
const cwd = fileURLToPath(new URL('..', import.meta.url));

async function run(program: string) {
  // Any free port will do instead of the program's.
  const source = program.replace('listen(8080,', 'listen(0,');
  const { ended } = startProgram(process.execPath, ['--input-type=module', '-e', source], { cwd });
  const { code, stdout, stderr } = await ended;
  return { code, stderr, lines: stdout.trimEnd().split('\n') };
}

describe('their programs', () => {
  it('are two', () => {
    expect(documentedPrograms).toHaveLength(2);
  });

  it('trains with a worker that joins, and alone with the same weights', async () => {
    const { code, stderr, lines } = await run(documentedPrograms[0]!);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(lines).toEqual([
      expect.stringMatching(/^w1 a helper joined \(node, cpu\)$/),
      expect.stringMatching(/^epoch 1: 0\.\d+$/),
      expect.stringMatching(/^the run has finished [0-9a-f]{64}$/),
      'true',
    ]);
  });

  it('serves a run next to a page of its own', async () => {
    const { code, stderr, lines } = await run(documentedPrograms[1]!);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(lines).toEqual([
      expect.stringMatching(/^the dashboard: http:\/\/127\.0\.0\.1:\d+\/lockstep\/#admin=/),
      '20',
    ]);
  });
});
