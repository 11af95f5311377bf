/** Traces of what passes between the coordinator and its workers. */
import type { Trace } from '@lockstep/training';

export function asked(workerId: string, step: number, atMs: number): Trace {
  return { type: 'asked', workerId, step, atMs };
}

export function answered(
  workerId: string,
  step: number,
  atMs: number,
  computeMs: number,
  turnaroundMs: number | undefined,
): Trace {
  return { type: 'answered', workerId, step, arrivedAtMs: atMs, atMs, count: 1, computeMs, turnaroundMs };
}

export function summed(step: number, atMs: number): Trace {
  return { type: 'whole', step, atMs };
}
