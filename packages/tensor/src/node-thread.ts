/** A thread of a backend in Node: the program that it runs. */
import { parentPort, workerData } from 'node:worker_threads';
import { runKernelThread, type ThreadSetup } from './backends/cpu/kernel-thread.ts';

await runKernelThread(workerData as ThreadSetup, (message) => parentPort?.postMessage(message));
