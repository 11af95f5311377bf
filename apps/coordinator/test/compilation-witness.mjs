/** Loaded with a program: on exit, prints how often the engine runs a function before it requests its compilation. */
import { writeSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { isMainThread } from 'node:worker_threads';

setFlagsFromString('--allow-natives-syntax');
const statusOf = new Function('work', 'return %GetOptimizationStatus(work)');
/** V8's status bits: optimized, marked for optimization, marked for concurrent optimization. */
const isWanted = (1 << 4) | (1 << 8) | (1 << 9);
const mostCalls = 100_000;

function work(factor) {
  let sum = 0;
  for (let index = 0; index < 10; index++) sum += index * factor;
  return sum;
}

function callsUntilWanted() {
  let calls = 0;
  while (calls < mostCalls && !(statusOf(work) & isWanted)) {
    work(1.5);
    calls += 1;
  }
  return calls;
}

if (isMainThread) process.on('exit', () => writeSync(1, `compiled after ${callsUntilWanted()} calls\n`));
