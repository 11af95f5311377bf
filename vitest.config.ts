import { defineConfig } from 'vitest/config';

// Packages resolve to their sources, so a unit test never runs a stale build.
// Tests that start real processes run what the build made; `npm test` builds first.
export default defineConfig({
  resolve: { conditions: ['source'] },
  ssr: { resolve: { conditions: ['source'] } },
  test: {
    include: ['{packages,apps}/*/test/**/*.test.ts'],
    // By default one core is left to the machine: with two, a file at a time, which takes half an hour.
    maxWorkers: '100%',
    // Starting a process and loading the modules anew for each of 350 files takes as long as many of them. A file leaves its
    // process as it found it: what it changes there, such as a global, it changes back.
    isolate: false,
    // For a machine that does much else: what waits in vain is to say so itself, long before.
    testTimeout: 180_000,
    hookTimeout: 180_000,
  },
});
