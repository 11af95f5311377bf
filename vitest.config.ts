import { defineConfig } from 'vitest/config';

/**
 * Packages whose test files leave their process as they found it, so that they run one after another in the same two:
 * starting one for each file, and loading the modules anew, takes as long as many of these tests. Helpers of others clean
 * up in hooks, which vitest calls only for the file that loaded them.
 */
const together = ['command', 'lesson', 'nn', 'onnx', 'protocol', 'training'].map(
  (name) => `packages/${name}/test/**/*.test.ts`,
);

// Packages resolve to their sources, so a unit test never runs a stale build.
// Tests that start real processes run what the build made; `npm test` builds first.
export default defineConfig({
  resolve: { conditions: ['source'] },
  ssr: { resolve: { conditions: ['source'] } },
  test: {
    // By default one core is left to the machine: with two, a file at a time, which takes half an hour.
    maxWorkers: '100%',
    // For a machine that does much else: what waits in vain is to say so itself, long before.
    testTimeout: 180_000,
    setupFiles: ['./vitest.setup.ts'],
    hookTimeout: 180_000,
    projects: [
      { extends: true, test: { name: 'together', include: together, isolate: false } },
      { extends: true, test: { name: 'alone', include: ['{packages,apps}/*/test/**/*.test.ts'], exclude: together } },
    ],
  },
});
