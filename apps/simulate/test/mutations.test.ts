/**
 * The simulator finds wrong rules: each mutation must fail within `mostRuns` runs, the first of which ends its test.
 */
import { fileURLToPath } from 'node:url';
import { createServer, type Plugin, type ViteDevServer } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Mutation, mutations } from './mutations.ts';

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
      if (found !== undefined) break;
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
