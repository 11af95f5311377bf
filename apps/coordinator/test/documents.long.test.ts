/** Runs every command in the documents, with less work. */
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { tinyArgs } from '../../../packages/train/test/tiny-data.ts';
import { documentedCommands as commands, wordsOf } from './documents.ts';
import { type Ended, startNpm } from './processes.ts';

const folder = temporaryFolder();
mkdirSync(join(folder, 'gpt'));
const sentences = ['Call me Ishmael.', 'The whale went down into the deep sea.', 'It was splendid, and it was bad.'];
const review = (row: number) => `"${sentences[row % 3]} That was number ${row}."`;
const files = {
  'book.txt': sentences.join('\n').repeat(200),
  'other.txt': sentences.join(' ').repeat(100),
  'reviews.csv': `review,stars\n${Array.from({ length: 60 }, (_, row) => `${review(row)},${row % 3}\n`).join('')}`,
  'new.csv': `review\n${review(0)}\n${review(1)}\n`,
};
for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
const [major] = process.versions.node.split('.');
const short = ['--rounds', '1', '--steps', '10', '--model', 'mlp', '--no-peers'];

/** Options that shorten a command, keyed by the command's first words; they replace the same options in the document. */
const less: Readonly<Record<string, readonly string[]>> = {
  start: ['--steps', '5', '--port', '0'],
  evaluate: [],
  predict: [],
  export: [],
  audit: [],
  generate: ['--length', '20'],
  compare: [...short, '--batch', '128', '--html', join(folder, 'compare.html')],
  // Seven runs, each of which would otherwise read all of MNIST.
  'compare --predict --workers 8 --link 100Mbit/s --latency 5ms': [...short, ...(await tinyArgs(folder))],
  bench: ['--rounds', '1', '--benchmark', 'matmul'],
  simulate: ['--runs', '3'],
  example: [],
  // The lesson's own tests train in full and check its claim.
  'example training-loop': ['--samples', '1000', '--epochs', '1'],
  docs: [],
  engines: [`node ${major}`],
  setup: [],
  site: [],
  test: ['packages/command/test/table.test.ts'],
  // Fetching TensorFlow takes minutes: if it is not installed yet, the command does not wait for it.
  'tfjs-node': ['--within', '1'],
};

/** The words of the shortened command; several commands may shorten to the same one. */
function shortened(command: string): readonly string[] {
  const { name, args } = wordsOf(command);
  const extra = less[[name, ...args].join(' ')] ?? less[name];
  if (!extra) throw new Error(`documents: expected a command of ${Object.keys(less).join(', ')}; got ${command}`);
  const given = args.map((word) => (word === 'NAME' ? 'iris' : word));
  const replaced = new Set(extra.filter((word) => word.startsWith('--')));
  const kept = given.filter((word, index) => !replaced.has(word) && !replaced.has(given[index - 1] ?? ''));
  // One command writes a model; later commands read it. No file is written into the clone.
  const placed = kept.map((word) =>
    /^(?:[a-z]+\.[a-z]+|runs\/\w+|gpt\/[\w.]+)$/.test(word) ? join(folder, word) : word,
  );
  return ['run', name, '--', ...placed, ...extra];
}

const ended = new Map<string, Promise<Ended>>();

function run(command: string): Promise<Ended> {
  const args = shortened(command);
  const key = args.join(' ');
  // Stands for the record that another machine keeps of the same run.
  if (args.includes('--against')) copyFileSync(join(folder, 'run.transcript'), join(folder, 'other.transcript'));
  if (!ended.has(key)) ended.set(key, startNpm(args).ended);
  return ended.get(key)!;
}

/** Commands that end only when somebody, or another machine, does something. */
const waits = /^npm run (worker|coordinator|relay)\b|--data upload|--serve/;

describe('the documents', () => {
  it.each(commands.filter((command) => !waits.test(command)))('%s', async (command) => {
    const { code, stdout, stderr } = await run(command);
    if (command === 'npm run tfjs-node' && code === 1) expect(stderr).toMatch(/tfjs-node: .*(no time left|too long)/);
    else expect({ code, ends: code === 0 ? '' : `${stdout}${stderr}`.slice(-2_000) }).toEqual({ code: 0, ends: '' });
  });
});
