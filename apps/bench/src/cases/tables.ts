/** Benchmarks of a large table: reading a CSV file, making it ready to train, and an epoch of training. */
import { readFileSync } from 'node:fs';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { version } from '@lockstep/command';
import { openDataset } from '@lockstep/data/node';
import { parseDelimited } from '@lockstep/data/readers';
import { thousands } from '@lockstep/data/shown';
import { randomStream } from '@lockstep/tensor';
import { train } from '@lockstep/train';
import { type Absent, type Benchmark, type Case, type Implementation, relativeDistance } from '../harness.ts';
import { startPython } from '../peers/python.ts';

const [rows, columns] = [200_000, 30];
const [hidden, batch] = [128, 256];
/** Columns that decide about the label, together with noise as large as one of them. */
const informative = 5;
/** Accuracy of the best possible classifier: correlation of the sum with and without noise, by Sheppard's formula. */
const bestAccuracy = 1 - Math.acos(Math.sqrt(informative / (informative + 1))) / Math.PI;

interface Table {
  readonly folder: string;
  readonly file: string;
  /** Sum of each column, the label last. */
  readonly sums: Float64Array;
}

/** Writes the file: standard normal numbers with six decimals, and a label of 0 or 1. */
async function writeTable(): Promise<Table> {
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-table-'));
  const file = join(folder, 'table.csv');
  const random = randomStream(1);
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const sums = new Float64Array(columns + 1);
  const handle = await open(file, 'w');
  const names = Array.from({ length: columns }, (_, column) => `c${column}`);
  let text = `${names.join(',')},label\n`;
  for (let row = 1; row <= rows; row++) {
    const cells = names.map(() => normal().toFixed(6));
    const sum = cells.slice(0, informative).reduce((total, cell) => total + Number(cell), normal());
    cells.push(sum > 0 ? '1' : '0');
    cells.forEach((cell, column) => {
      sums[column]! += Number(cell);
    });
    text += `${cells.join(',')}\n`;
    if (row % 10_000 !== 0 && row !== rows) continue;
    await handle.write(text);
    text = '';
  }
  await handle.close();
  return { folder, file, sums };
}

let table: Promise<Table> | undefined;

type Work = 'read' | 'prepare' | 'train';

interface Measured {
  readonly ms: number;
  readonly values: readonly number[];
}

/** @param work measured `times` times; returns the milliseconds and what to check */
function implementation(note: string, work: (times: number) => Promise<Measured>): Implementation {
  let values: readonly number[] = [];
  return {
    version,
    notes: [note],
    async run(steps) {
      const answer = await work(steps);
      values = answer.values;
      return answer.ms;
    },
    result: async () => Float32Array.from(values),
  };
}

async function openPython(work: Work): Promise<Implementation | Absent> {
  const installation = 'they come with: python3 -m pip install pandas scikit-learn';
  const python = await startPython('scikit.py', { installation });
  if ('absent' in python) return python;
  const request = { do: work, file: (await table!).file, hidden, batch };
  const measured = async (times: number): Promise<Measured> => {
    const { ms = Number.NaN, values = [] } = await python.ask({ ...request, times });
    return { ms, values };
  };
  return { ...implementation('one process, 1 thread', measured), version: python.version, close: python.close };
}

async function repeat<Result>(times: number, work: () => Result | Promise<Result>) {
  const startedMs = performance.now();
  let result = await work();
  for (let done = 1; done < times; done++) result = await work();
  return { ms: performance.now() - startedMs, result };
}

async function openReading(): Promise<Implementation> {
  const { file } = await table!;
  return implementation('numbers as float64, in columns', async (times) => {
    const { ms, result } = await repeat(times, () => parseDelimited(readFileSync(file), 'table.csv'));
    const values = result.columns.map((column) => {
      let sum = 0;
      for (let row = 0; row < column.count; row++) sum += column.numberAt(row)!;
      return sum;
    });
    return { ms, values };
  });
}

async function openPreparing(): Promise<Implementation> {
  const { file } = await table!;
  return implementation('openDataset', async (times) => {
    const { ms, result } = await repeat(times, () => openDataset(file));
    let squares = 0;
    for (const value of result.train.samples.values) squares += value ** 2;
    return { ms, values: [squares, result.train.count, result.test.count] };
  });
}

async function openTraining(): Promise<Implementation> {
  const data = await openDataset((await table!).file);
  // Evaluations are not measured.
  const few = await openDataset((await table!).file, { testFraction: 0.001 });
  const layers = [{ type: 'dense', units: hidden }, { type: 'relu' }, { type: 'dense', units: 2 }] as const;
  const model = { name: 'table', input: [columns], layers };
  return implementation('one process, 1 thread', async (epochs) => {
    let [startedMs, endedMs] = [0, 0];
    const run = train({
      data: { train: data.train, test: few.test },
      ...{ model, epochs, batch, threads: 1, optimizer: { type: 'adam', schedule: 'constant' } },
      onStep({ step }) {
        endedMs = performance.now();
        if (step === 1) startedMs = endedMs;
      },
    });
    const { model: trained, report } = await run.result;
    const { accuracy } = await trained.evaluate(data.test);
    trained.dispose();
    // The clock starts after the first step.
    const ms = ((endedMs - startedMs) * report.steps) / (report.steps - 1);
    return { ms, values: [accuracy ?? Number.NaN] };
  });
}

const name = `${thousands(rows)} rows of ${columns} numbers`;

function benchmark(about: Pick<Benchmark, 'name' | 'title' | 'method'>, cases: () => Promise<Case[]>): Benchmark {
  return {
    ...about,
    async cases() {
      table ??= writeTable();
      await table;
      return cases();
    },
    async close() {
      const written = table;
      table = undefined;
      if (written) await rm((await written).folder, { recursive: true, force: true });
    },
  };
}

const oneStep = { workPerStep: { amount: rows, unit: 'rows' }, checkedSteps: 1 } as const;

export default [
  benchmark(
    {
      name: 'table-read',
      title: 'Reading a large table, against pandas and scikit-learn',
      method: [
        'A CSV file of 57 MB, from a warm file cache: into columns, and then until it is ready to train (split by label,',
        'standardized by the training rows, float32). All with one thread.',
      ],
    },
    async () => {
      const { sums } = await table!;
      const trainRows = 0.8 * rows;
      const ready = [trainRows * columns, trainRows, rows - trainRows];
      return [
        {
          ...{ ...oneStep, name: `${name}, into columns`, tolerance: 1e-4 },
          distance: (result) => relativeDistance(result, sums),
          candidates: [
            { name: 'Lockstep', open: openReading },
            { name: 'pandas', open: () => openPython('read') },
          ],
        },
        {
          ...{ ...oneStep, name: `${name}, ready to train`, tolerance: 1e-4 },
          distance: (result) => relativeDistance(result, ready),
          candidates: [
            { name: 'Lockstep', open: openPreparing },
            { name: 'scikit-learn', open: () => openPython('prepare') },
          ],
        },
      ];
    },
  ),
  benchmark(
    {
      name: 'table-train',
      title: 'An epoch on a large table, against scikit-learn',
      method: [
        `Adam on ${columns}-${hidden}-2, batches of ${batch}, 80 % of the rows, without evaluations. Weights and order of`,
        'samples differ, so the test accuracy is compared with that of the best possible classifier.',
      ],
    },
    async () => [
      {
        ...{ ...oneStep, name, workPerStep: { amount: 0.8 * rows, unit: 'rows' }, tolerance: 0.02 },
        distance: (result) => relativeDistance(result, [bestAccuracy]),
        candidates: [
          { name: 'Lockstep', open: openTraining },
          { name: 'scikit-learn', open: () => openPython('train') },
        ],
      },
    ],
  ),
] satisfies Benchmark[];
