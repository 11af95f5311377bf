/** Candidates that count instead of computing, on a clock that they advance themselves. */
import { type Candidate, type Case, type Effort, type Implementation, relativeDistance } from '../src/harness.ts';

export const effort: Effort = { rounds: 4, burstMs: 100, warmUpMs: 50, budgetMs: 5000 };

export const silent = (): void => undefined;

/** A candidate whose steps each add `increment` and take `msPerStep`; its calls are appended to `calls`. */
export function counter(name: string, msPerStep: number, calls: string[], increment = 1): Candidate {
  return {
    name,
    async open(): Promise<Implementation> {
      let count = 0;
      calls.push(`${name} open`);
      return {
        version: '1.2.3',
        notes: [`counts by ${increment}`],
        async reset() {
          count = 0;
        },
        async run(steps) {
          count += steps * increment;
          calls.push(`${name} ${steps}`);
          return steps * msPerStep;
        },
        result: async () => Float32Array.of(count),
        async close() {
          calls.push(`${name} close`);
        },
      };
    },
  };
}

/** The case in which candidates count to `checkedSteps`. */
export function countingCase(candidates: readonly Candidate[], checkedSteps = 5): Case {
  return {
    name: 'counting',
    workPerStep: { amount: 10, unit: 'counts' },
    checkedSteps,
    tolerance: 1e-6,
    distance: (result) => relativeDistance(result, [checkedSteps]),
    candidates,
  };
}
