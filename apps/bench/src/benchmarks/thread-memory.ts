/** How much memory each thread adds to a process, and how many copies of the samples the process holds. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { CommandFailure } from '@lockstep/command';
import { sampleSize } from '@lockstep/data';
import type { Benchmark, Fact } from '../benchmark.ts';
import { loadTrainingSet } from '../workloads/mnist-data.ts';
import { writeMnistFiles } from '../workloads/mnist-files.ts';
import type { ProcessMemory } from '../workloads/report-memory.ts';

const threadCounts = [1, 2, 4] as const;
const steps = 200;
const runs = 3;
const fewSamples = 1_000;
/** Per thread: the engine's own memory, stack, workspace and gradient sums. A copy of the samples takes 47 MB. */
const allowedBytesPerThread = 35e6;
/** One copy, plus what else grows with the training set: the samples' order and labels. */
const mostCopies = 1.5;

export const threadMemory: Benchmark = {
  kind: 'inspection',
  name: 'thread-memory',
  title: 'Memory of one process that trains with 1, 2 and 4 threads',
  method: [
    `The program itself: npm start -- --single --threads N --steps ${steps} on MNIST; resident memory at its end, medians of ${runs} runs.`,
    `Threads share weights and samples: each further one may add ${megabytes(allowedBytesPerThread)}, less than a copy of the samples. How often the samples`,
    `lie in memory is what 60,000 of them take more than ${fewSamples.toLocaleString('en-US')}, over their bytes: once, whatever the threads.`,
  ],
  async facts(progress) {
    const folder = await mkdtemp(join(tmpdir(), 'lockstep-thread-memory-'));
    try {
      const train = await loadTrainingSet(undefined);
      await writeMnistFiles(train, { trainCount: fewSamples, testCount: 10_000 }, folder);
      const [all, few]: number[][] = [[], []];
      for (const threads of threadCounts) {
        progress(`thread-memory: ${threads === 1 ? '1 thread' : `${threads} threads`}`);
        all!.push(await residentBytes(threads, []));
        few!.push(await residentBytes(threads, ['--data', folder, '--batch', '128', '--epochs', `${steps}`]));
      }
      return memoryFacts(threadCounts, all!, few!, (train.count - fewSamples) * sampleSize(train));
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

/**
 * Whether threads add only the memory they need for themselves, and share one copy of the samples.
 * @param all resident bytes for each number of threads, and `few` those with `sampleBytes` fewer bytes of samples
 */
export function memoryFacts(
  threads: readonly number[],
  all: readonly number[],
  few: readonly number[],
  sampleBytes: number,
): Fact[] {
  const copies = all.map((bytes, index) => (bytes - few[index]!) / sampleBytes);
  return threads.map((count, index): Fact => {
    const [bytes, copy] = [all[index]!, copies[index]!];
    const perThread = count === threads[0] ? 0 : (bytes - all[0]!) / (count - threads[0]!);
    const more = perThread === 0 ? '' : `, ${megabytes(perThread)} more for each further thread`;
    return {
      name: count === 1 ? '1 thread' : `${count} threads share one memory`,
      holds: perThread <= allowedBytesPerThread && copy < mostCopies,
      message: `${megabytes(bytes)} resident${more}; the samples lie in it ${copy.toFixed(1)} times`,
      figures: { threads: count, residentBytes: bytes, bytesPerFurtherThread: perThread, copiesOfSamples: copy },
    };
  });
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`;
}

const program = fileURLToPath(new URL('../../../coordinator/dist/main.js', import.meta.url));
const preload = new URL('../workloads/report-memory.js', import.meta.url).href;

/** Median of several runs. */
async function residentBytes(threads: number, dataArguments: readonly string[]): Promise<number> {
  const seen: number[] = [];
  for (let run = 0; run < runs; run++) seen.push((await runOnce(threads, dataArguments)).residentBytes);
  return seen.sort((a, b) => a - b)[runs >> 1]!;
}

/** @throws CommandFailure if the program fails */
async function runOnce(threads: number, dataArguments: readonly string[]): Promise<ProcessMemory> {
  const args = ['start', '--single', '--threads', `${threads}`, '--steps', `${steps}`, ...dataArguments];
  const child = spawn(process.execPath, [...process.execArgv, '--import', preload, program, ...args], {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  const [code, failure, memory] = await Promise.all([
    ended,
    text(child.stderr!),
    text(child.stdio[3] as NodeJS.ReadableStream),
  ]);
  if (code !== 0) throw new CommandFailure(`the coordinator ended with exit code ${code}: ${failure.trim()}`, 1);
  return JSON.parse(memory) as ProcessMemory;
}
