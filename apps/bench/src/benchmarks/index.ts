/** The table of benchmarks: to add one, write its file and add it here. */
import type { Benchmark } from '../benchmark.ts';
import { cnnStep } from './cnn-step.ts';
import { coordinatorMemory } from './coordinator-memory.ts';
import { coordinatorThroughput } from './coordinator-throughput.ts';
import { diloco } from './diloco.ts';
import { gradientStep } from './gradient-step.ts';
import { heap } from './heap.ts';
import { manyWorkers } from './many-workers.ts';
import { matmul } from './matmul.ts';
import { narrowLink } from './narrow-link.ts';
import { page } from './page.ts';
import { relayTree } from './relays.ts';
import { tabThreads } from './tab-threads.ts';
import { threadMemory } from './thread-memory.ts';

export const benchmarks: readonly Benchmark[] = [
  gradientStep,
  matmul,
  cnnStep,
  page,
  tabThreads,
  coordinatorThroughput,
  diloco,
  manyWorkers,
  narrowLink,
  relayTree,
  heap,
  threadMemory,
  coordinatorMemory,
];
