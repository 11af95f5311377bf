/** The simulator finds wrong rules: each mutation fails within so many runs, and stops at the first. */
import { fileURLToPath } from 'node:url';
import { createServer, type Plugin, type ViteDevServer } from 'vite';
import { afterEach, describe, expect, it } from 'vitest';
import { type Mutation, mutations } from './mutations.ts';

const mostRuns = 1_000;
const rules = fileURLToPath(new URL('../../../packages/training/src/', import.meta.url));

/** Changes the text of sources as they are loaded; says which it has changed. */
function mutating({ changes }: Mutation, changed: Set<string>): Plugin {
  return {
    name: 'mutation',
    enforce: 'pre',
    transform(code, id) {
      const ofFile = changes.filter(({ file }) => id === `${rules}${file}`);
      if (ofFile.length === 0) return undefined;
      return ofFile.reduce((text, { file, before, after }) => {
        const parts = text.split(before);
        if (parts.length !== 2) throw new Error(`${file}: expected once, got ${parts.length - 1} times: ${before}`);
        changed.add(file);
        return parts.join(after);
      }, code);
    },
  };
}

let server: ViteDevServer | undefined;
afterEach(() => server?.close());

/** The rules with a mutation, apart from those that other tests load. */
async function loadMutated(mutation: Mutation): Promise<typeof import('../src/scenario.ts')> {
  const changed = new Set<string>();
  server = await createServer({
    configFile: false,
    root: fileURLToPath(new URL('..', import.meta.url)),
    logLevel: 'error',
    server: { middlewareMode: true, hmr: false, watch: null, ws: false },
    optimizeDeps: { noDiscovery: true },
    resolve: { conditions: ['source'] },
    ssr: { resolve: { conditions: ['source'] } },
    plugins: [mutating(mutation, changed)],
  });
  const scenario = await server.ssrLoadModule('/src/scenario.ts');
  expect([...changed]).toEqual([...new Set(mutation.changes.map(({ file }) => file))]);
  return scenario as typeof import('../src/scenario.ts');
}

/** Of the runs, in the order in which they are tried: that which found it before, then all. */
function seedsOf({ foundBy }: Mutation): number[] {
  if (foundBy > mostRuns) throw new Error(`expected a seed of the first ${mostRuns}, got ${foundBy}`);
  return [foundBy, ...Array.from({ length: mostRuns }, (_, index) => index + 1)];
}

describe('the simulator', () => {
  it.each(mutations)('finds: $name', async (mutation) => {
    const { openReference, runScenario } = await loadMutated(mutation);
    const backend = await openReference();
    let found: string | undefined;
    for (const seed of seedsOf(mutation)) {
      found = (await runScenario(backend, seed, mutation.scenario)).fault;
      if (found !== undefined) break;
    }
    expect(found, `${mostRuns} runs`).toBeDefined();
  });
});
