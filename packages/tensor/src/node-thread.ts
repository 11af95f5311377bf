/** Entry point of a backend's compute thread in Node. */
import { parentPort, workerData } from 'node:worker_threads';
import { runKernelThread, type ThreadSetup } from './backends/cpu/threads.ts';

await runKernelThread(workerData as ThreadSetup, (message) => parentPort?.postMessage(message));
