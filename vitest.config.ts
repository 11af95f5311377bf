/**
 * The name of a test file says when and how it runs.
 *
 * | name                 | runs with                                                          |
 * |----------------------|--------------------------------------------------------------------|
 * | `NAME.test.ts`       | `npm test` and `npm run test:all`                                  |
 * | `NAME.full.test.ts`  | `npm run test:all`: browsers, processes, GPUs, installations       |
 * | `NAME.long.test.ts`  | `npm run test:long`: soak, fuzz, floods and thousands of workers   |
 *
 * `NAME.alone.test.ts` and `NAME.alone.full.test.ts` have a process of their own.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import { closingReporter } from './vitest.reporter.ts';

const temporaryPrefix = 'lockstep-tests-';

/** Browsers and programs that tests kill leave temporary files. Each project reads this file again. */
if (!basename(tmpdir()).startsWith(temporaryPrefix)) {
  const temporary = mkdtempSync(join(tmpdir(), temporaryPrefix));
  // Some tests run programs as another user.
  chmodSync(temporary, 0o755);
  process.env['TMPDIR'] = temporary;
  process.once('exit', () => {
    for (let attempt = 0; attempt < 40; attempt++) {
      try {
        rmSync(temporary, { recursive: true, force: true });
        return;
      } catch {
        // A browser that is still ending has written another file.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
      }
    }
  });
}

/** Test files whose names have one of these ends, such as `.full.test.ts`, and no other dot. */
const filesNamed = (...ends: string[]): string[] =>
  ends.flatMap((end) => ['{packages,apps}/*/test/**/', 'examples/test/**/'].map((folder) => `${folder}+([^.])${end}`));

const project = (name: string, test: TestProjectInlineConfiguration['test']): TestProjectInlineConfiguration => ({
  extends: true,
  // Ends the programs that a file has started.
  test: { name, setupFiles: ['apps/coordinator/test/end-programs.ts'], ...test },
});

/**
 * Most files run one after another in a few processes: starting a process for each file, and loading its modules again,
 * would take as long as many of these tests. Such a file must undo what it changes in its process. A helper's hooks are
 * called only for the file that loaded it, so helpers clean up in the test or file that calls them, or in a set-up file.
 */
const sharedAndAlone = (...ends: string[]): TestProjectInlineConfiguration[] => {
  const alone = ends.map((end) => `.alone${end}`);
  return [
    project('alone', { include: filesNamed(...alone) }),
    project('shared', { include: filesNamed(...ends), isolate: false }),
  ];
};

/** Packages whose properties are worth other random values than those of the quick tests. */
const fuzz = 'packages/{nn,protocol,rules,compute,sim}/test/**/!(*.long).test.ts';

const rounds = {
  setupFiles: ['apps/coordinator/test/end-programs.ts', './vitest.long.ts'],
  // `npm run test:long` adds the time of a series of rounds.
  testTimeout: 600_000,
};

/** The modes of `vitest run --mode MODE`; the default mode is `test`. */
const modes: Readonly<Record<string, TestProjectInlineConfiguration[]>> = {
  test: sharedAndAlone('.test.ts'),
  all: sharedAndAlone('.test.ts', '.full.test.ts'),
  rest: sharedAndAlone('.full.test.ts'),
  long: [
    project('fuzz', { include: [fuzz], isolate: false, ...rounds }),
    project('long', { include: filesNamed('.long.test.ts'), ...rounds }),
  ],
};

// Packages resolve to their sources, so a unit test never runs a stale build.
// Tests that start real processes run what the build made; `npm test` builds first.
export default defineConfig(({ mode }) => ({
  resolve: { conditions: ['source'] },
  ssr: { resolve: { conditions: ['source'] } },
  test: {
    // For a machine that does much else: what waits in vain is to say so itself, long before.
    testTimeout: 180_000,
    // The default of one second is shorter than a chapter takes to compute on a busy machine.
    expect: { poll: { timeout: 60_000 } },
    setupFiles: ['./vitest.setup.ts'],
    reporters: ['default', closingReporter],
    hookTimeout: 180_000,
    // Many files wait for a page, a process or a socket at times: one more than there are cores keeps all cores busy.
    maxWorkers: availableParallelism() + (mode === 'long' ? 0 : 1),
    projects: modes[mode]!,
  },
}));
