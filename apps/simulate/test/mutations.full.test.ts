/**
 * The simulator finds wrong rules: each mutation must fail within `mostRuns` runs, the first of which ends its test.
 */
import { fileURLToPath } from 'node:url';
import { createServer, type Plugin, type ViteDevServer } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ScenarioOptions } from '../src/scenario.ts';

interface Mutation {
  readonly name: string;
  /** Seed of the first run that finds it. The others are tried in case rules or scenarios have changed since. */
  readonly foundBy: number;
  /** Options of the runs that must find it. */
  readonly scenario?: ScenarioOptions;
  readonly changes: readonly {
    /** Relative to `packages`. */
    readonly file: string;
    readonly before: string;
    readonly after: string;
  }[];
}

const mutations: readonly Mutation[] = [
  {
    name: 'no re-check of completion when a connection closes',
    foundBy: 7,
    changes: [
      {
        file: 'rules/src/rules.ts',
        before: '    advanceRun(run);\n',
        after: "    if (event.type !== 'closed') advanceRun(run);\n",
      },
    ],
  },
  {
    name: 'a late result is added a second time',
    foundBy: 477,
    changes: [
      {
        file: 'rules/src/settlement.ts',
        before: "  if (!shard || !owesShard(shard, id)) return isTrial({ trial }, result) ? 'compare' : 'drop';",
        after: "  if (!shard || !(shard.done || owesShard(shard, id))) return 'drop';",
      },
    ],
  },
  {
    name: "the coordinator's own sum of a shard is added, whatever has become of the shard",
    foundBy: 24,
    changes: [
      {
        file: 'coordinator/src/run.ts',
        before: '    if (arrival && arrival.isTaken !== true) this.#results.drop(arrival);\n',
        after: `
          if (!arrival || arrival.isTaken) return;
          const { connection: from, place } = arrival;
          if (!this.state.connections.get(from)?.isOwn) this.#results.drop(arrival);
          else this.#results.add({ type: 'add', ...place, from, isChecked: true, keep: false }, arrival);
        `,
      },
    ],
  },
  {
    name: "the coordinator's own result is not compared when it should be",
    foundBy: 300,
    scenario: { lying: true },
    changes: [
      {
        file: 'rules/src/settlement.ts',
        before: 'decide(run, shard, agreesWith, result);',
        after: 'decide(run, shard, shard.held.map((other) => other.connection), result);',
      },
    ],
  },
  {
    name: 'shards are summed in the order of their arrival',
    foundBy: 4,
    changes: [
      {
        file: 'compute/src/tree-sum.ts',
        before: '    let node = shard;\n',
        after: `
          const [[covered, held] = ['0', undefined]] = this.#waiting;
          const total = held === undefined ? value : combine(held, value, { lo: 0, n: 0 });
          const size = Number(covered) + Math.min(shard.lo + shard.n, usedMicrobatches) - shard.lo;
          this.#waiting.clear();
          if (size === usedMicrobatches) return total;
          this.#waiting.set(String(size), total);
          return undefined;
          let node = shard;
        `,
      },
    ],
  },
  {
    name: 'sums are rounded only at the ends of shards',
    foundBy: 2,
    changes: [
      {
        file: 'compute/src/aggregator.ts',
        before: 'parameterCount + 2, plan.halfUnit);',
        after: 'parameterCount + 2);',
      },
    ],
  },
  {
    name: 'a checkpoint is taken before the step is whole',
    foundBy: 56,
    changes: [
      {
        file: 'coordinator/src/run.ts',
        before:
          '    const result = parameterServer.step(step);\n    this.#transcript?.stepped(step);\n    onStep?.(result);\n',
        after: '    onStep?.({ step, loss: 0 });\n    parameterServer.step(step);\n',
      },
    ],
  },
  {
    name: 'a step that begins again keeps the record of its first sums',
    foundBy: 38,
    changes: [{ file: 'coordinator/src/run.ts', before: '        this.#transcript?.restart();\n', after: '' }],
  },
  {
    name: 'a run that goes back keeps the record of its last sums',
    foundBy: 9,
    scenario: { lying: true },
    changes: [{ file: 'coordinator/src/run.ts', before: '    this.#transcript?.goBack(step);\n', after: '' }],
  },
  {
    name: 'a sum is recorded once it has been added to others',
    foundBy: 1,
    changes: [
      {
        file: 'coordinator/src/results.ts',
        before: '      record?.(aggregator.valuesOf(memory));\n',
        after: '',
      },
      {
        file: 'coordinator/src/results.ts',
        before: '    aggregator.add(place, memory);\n',
        after:
          "    aggregator.add(place, memory);\n    if (!('left' in memory)) record?.(aggregator.valuesOf(memory));\n",
      },
    ],
  },
  {
    name: 'a newcomer is proven by a result that came too late to be compared',
    foundBy: 344,
    changes: [
      {
        file: 'rules/src/settlement.ts',
        before: '  if (!comparison) return;\n',
        after: '  if (!comparison?.isSame) {\n    recordSuccess(run, id);\n    return;\n  }\n',
      },
    ],
  },
  {
    name: 'results count before any was compared, if no worker is proven',
    foundBy: 2,
    changes: [
      {
        file: 'rules/src/schedule.ts',
        before: '  const workers = available(run).filter(({ isProven }) => isProven);\n',
        after:
          '  const every = available(run);\n  const proven = every.filter(({ isProven }) => isProven);\n  const workers = proven.length > 0 ? proven : every;\n',
      },
      {
        file: 'rules/src/settlement.ts',
        before: "return isProven ? 'add' : 'hold';",
        after: "return isTrial({ trial }, result) && shard.assignments.length > 1 ? 'hold' : 'add';",
      },
      {
        file: 'rules/src/settlement.ts',
        before: '  if (!wasTrial) measureLink(',
        after: '  recordSuccess(run, id);\n  if (!wasTrial) measureLink(',
      },
    ],
  },
  {
    name: 'memory into which a gradient is being written is given to another one',
    foundBy: 53,
    changes: [
      {
        file: 'compute/src/tree-sum.ts',
        before: '[...this.#buffers].filter((buffer) => !this.#reserved.has(buffer))',
        after: '[...this.#buffers]',
      },
    ],
  },
  {
    name: 'a relay takes workers that round in another way',
    foundBy: 3,
    scenario: { relays: 'small' },
    changes: [
      {
        file: 'rules/src/joining.ts',
        before: '  if (isRelay) {',
        after: '  if (isRelay && numericMode === undefined) {',
      },
    ],
  },
  {
    name: 'a run that rounds nodes takes workers that round in another way',
    foundBy: 24,
    scenario: { mixed: true, honest: true },
    changes: [
      {
        file: 'rules/src/joining.ts',
        before: '  if (plan.halfUnit !== undefined) {',
        after: '  if (plan.halfUnit !== undefined && numericMode === undefined) {',
      },
    ],
  },
  {
    name: 'a relay computes an earlier step with later weights, after the coordinator came back from a checkpoint',
    foundBy: 65,
    scenario: { relays: 'small' },
    changes: [
      {
        file: 'relay/src/relay-run.ts',
        before: 'if (step < Math.max(this.#weightsStep, this.#forwardedStep)) return false;',
        after: 'if (step < Math.max(this.#weightsStep, this.#forwardedStep)) return true;',
      },
    ],
  },
  {
    name: 'a relay goes on with what it has added of the shard before',
    foundBy: 1,
    scenario: { relays: 'small' },
    changes: [
      {
        file: 'rules/src/progress.ts',
        before: "  run.commands.push({ type: 'restartStep', step, asked });\n",
        after: '',
      },
    ],
  },
  {
    name: 'a relay fails at some shards, which others compute instead',
    foundBy: 2,
    scenario: { relays: 'small' },
    changes: [
      {
        file: 'relay/src/relay-run.ts',
        before: '    const count = this.#samples.use(shard, batch);\n',
        after:
          "    if (shard.step % 4 === 2) throw new Error('broken');\n    const count = this.#samples.use(shard, batch);\n",
      },
    ],
  },
  {
    name: 'a worker that is gone keeps its shares behind a relay, until they are late',
    foundBy: 2,
    scenario: { relays: 'small' },
    changes: [
      {
        file: 'rules/src/joining.ts',
        before: "  unassignAll(run, connection);\n  emit(run, { type: 'left'",
        after: "  if (!run.setup.isRelay) unassignAll(run, connection);\n  emit(run, { type: 'left'",
      },
    ],
  },
  {
    name: 'workers are not told that another run may follow',
    foundBy: 5,
    changes: [
      {
        file: 'rules/src/joining.ts',
        before: '...(anotherMayFollow === true && { anotherMayFollow })',
        after: '...(anotherMayFollow === undefined && { anotherMayFollow })',
      },
    ],
  },
  {
    name: 'a run takes one step more than it is allowed',
    foundBy: 43,
    changes: [
      {
        file: 'rules/src/progress.ts',
        before: 'current.step < allowedSteps;',
        after: 'current.step <= allowedSteps;',
      },
    ],
  },
  {
    name: 'a run that waits for an evaluation does not stop early',
    foundBy: 43,
    changes: [
      {
        file: 'rules/src/rules.ts',
        before: 'if (!hasEnded(run)) finishRun(run);',
        after: 'if (!hasEnded(run) && run.current.step !== run.allowedSteps) finishRun(run);',
      },
    ],
  },
  {
    name: 'the run goes back to the newest state that it keeps, whatever it contains',
    foundBy: 11,
    scenario: { lying: true },
    changes: [
      {
        file: 'rules/src/rewind.ts',
        before: 'run.kept.findLastIndex(({ step }) => step <= first)',
        after: 'run.kept.length - 1',
      },
    ],
  },
  {
    name: 'the newest unchecked result of a worker is noted, not the first',
    foundBy: 9,
    scenario: { lying: true },
    changes: [
      {
        file: 'rules/src/rewind.ts',
        before: '    if (!record || record.uncheckedFrom !== undefined) continue;\n',
        after: '    if (!record) continue;\n',
      },
    ],
  },
  {
    name: 'the optimizer keeps its state when the run goes back',
    foundBy: 9,
    scenario: { lying: true },
    changes: [
      {
        file: 'compute/src/parameter-server.ts',
        before: '    this.#optimizer.restore(optimizerState);\n    this.beginStep(step);\n',
        after: '    this.beginStep(step);\n',
      },
    ],
  },
  {
    name: 'results from before the run went back count',
    foundBy: 32,
    scenario: { lying: true },
    changes: [
      {
        file: 'rules/src/rewind.ts',
        before: '{ recalled, weightsStep: -1,',
        after: '{ recalled: before && recalled, weightsStep: -1,',
      },
      {
        file: 'worker/src/session.ts',
        before: '    this.#tasks.cancelAll();\n    this.#weightsStep = Math.min',
        after: '    this.#weightsStep = Math.min',
      },
    ],
  },
  {
    name: 'workers of an address that have left are trusted when the next one is caught',
    foundBy: 46,
    scenario: { lying: true },
    changes: [
      {
        file: 'rules/src/rewind.ts',
        before: 'other === id || (leftAtMs !== undefined && origin !== undefined && from === origin)',
        after: 'other === id',
      },
    ],
  },
  {
    name: 'newcomers are checked as rarely as others',
    foundBy: 5,
    scenario: { lying: true },
    changes: [
      {
        file: 'rules/src/track-record.ts',
        before: 'return Math.max(verifyRate, 2 ** -halvings);',
        after: 'return verifyRate;',
      },
    ],
  },
];

const mostRuns = 1_000;
const packages = fileURLToPath(new URL('../../../packages/', import.meta.url));

/** Changes the text of sources as they are loaded, and records which ones it changed. */
class Mutator implements Plugin {
  readonly name = 'mutation';
  readonly enforce = 'pre';
  readonly changed = new Set<string>();
  changes: Mutation['changes'] = [];

  readonly transform = (code: string, id: string): string | undefined => {
    const ofFile = this.changes.filter(({ file }) => id === `${packages}${file}`);
    if (ofFile.length === 0) return undefined;
    return ofFile.reduce((text, { file, before, after }) => {
      const parts = text.split(before);
      if (parts.length !== 2) throw new Error(`${file}: expected once, got ${parts.length - 1} times: ${before}`);
      this.changed.add(file);
      return parts.join(after);
    }, code);
  };
}

const mutator = new Mutator();
let server: ViteDevServer;

beforeAll(async () => {
  server = await createServer({
    configFile: false,
    root: fileURLToPath(new URL('..', import.meta.url)),
    logLevel: 'error',
    server: { middlewareMode: true, hmr: false, watch: null, ws: false },
    optimizeDeps: { noDiscovery: true },
    resolve: { conditions: ['source'] },
    ssr: { resolve: { conditions: ['source'] } },
    plugins: [mutator],
  });
});
afterAll(() => server.close());

type Scenarios = typeof import('../src/scenario.ts');

/** Loads the rules with only these changes, separately from the modules that other tests load. */
async function loadMutated(changes: Mutation['changes']): Promise<Scenarios> {
  const { moduleGraph } = server.environments.ssr;
  const stale = [...mutator.changes, ...changes];
  mutator.changes = changes;
  mutator.changed.clear();
  for (const { file } of stale) {
    const module = moduleGraph.getModuleById(`${packages}${file}`);
    if (module) moduleGraph.invalidateModule(module);
  }
  const scenarios = await server.ssrLoadModule('/src/scenario.ts');
  expect([...mutator.changed].sort()).toEqual([...new Set(changes.map(({ file }) => file))].sort());
  return scenarios as Scenarios;
}

/** Returns the seeds to try, in order: the one that found the mutation before, then all. */
function seedsOf({ foundBy }: Mutation): number[] {
  if (foundBy > mostRuns) throw new Error(`expected a seed of the first ${mostRuns}, got ${foundBy}`);
  return [foundBy, ...Array.from({ length: mostRuns }, (_, index) => index + 1)];
}

describe('the simulator', () => {
  it.each(mutations)('finds: $name', async (mutation) => {
    const { openReference, runScenario } = await loadMutated(mutation.changes);
    const backend = await openReference();
    let found: string | undefined;
    for (const seed of seedsOf(mutation)) {
      found = (await runScenario(backend, seed, mutation.scenario)).fault;
      if (found === undefined) continue;
      if (seed !== mutation.foundBy)
        process.stdout.write(`${mutation.name}: to find it quickly, set foundBy: ${seed}\n`);
      break;
    }
    expect(found, `${mostRuns} runs`).toBeDefined();
  });

  it('finds nothing in the rules as they are, by the same seeds', async () => {
    const { openReference, runScenario } = await loadMutated([]);
    const backend = await openReference();
    for (const { foundBy, scenario, name } of mutations) {
      expect((await runScenario(backend, foundBy, scenario)).fault, name).toBeUndefined();
    }
  });
});
