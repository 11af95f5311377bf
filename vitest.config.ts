import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import {
  BaseSequencer,
  type Reporter,
  type TestCollection,
  type TestModule,
  type TestSpecification,
} from 'vitest/node';

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

/**
 * Files that leave their process as they found it run one after another in a few shared processes: starting a process for
 * each file, and loading its modules again, takes as long as many of these tests. A helper's hooks are called only for the
 * file that loaded it, so helpers clean up in the test or file that calls them, or in a set-up file.
 */
const computing = [
  ...['command', 'lesson', 'nn', 'onnx', 'protocol', 'rules', 'compute', 'sim'].map(
    (name) => `packages/${name}/test/**/*.test.ts`,
  ),
  'packages/{data,tensor}/test/!(*-browser|backend|gpu|microbatches|threads|vectors).test.ts',
  // The page's modules that need no page.
  'apps/web/test/{batch-at-start,contribution,curves,digit-image,join-addresses,lesson}.test.ts',
  'apps/web/test/{sketch,status,table-row,tile-layout,weights-feed,worker-columns}.test.ts',
];

/** Files that mostly wait for processes and sockets. */
const running = [
  // Patterns with braces or slashes within braces would let vitest walk through all of node_modules.
  'apps/{coordinator,relay,worker}/test/**/*.test.ts',
  'packages/{fleet,train,worker}/test/**/*.test.ts',
];

/** Files among these that replace modules, read their process's memory, or change it for good. */
const apart = [
  'packages/train/test/{local-workers,many-workers,memory-need,threads-beside-workers}.test.ts',
  'packages/worker/test/{own-process,system-clock}.test.ts',
  'apps/coordinator/test/tfjs-node.test.ts',
];

/** Files that mostly wait for pages and installations. Those of one process share a browser. */
const waiting = ['apps/{lockstep,site,web}', 'packages/chromium', 'examples'].map(
  (folder) => `${folder}/test/**/*.test.ts`,
);
const pages = 'packages/*/test/**/*-browser.test.ts';

/** Soak, fuzz, floods and thousands of workers: `npm run test:long`. */
const long = ['{packages,apps}/*/test/**/*.long.test.ts'];
const every = ['{packages,apps}/*/test/**/*.test.ts', 'examples/test/**/*.test.ts'];

/** The files that take longest, longest first: the last to begin decides when all have ended. */
const slowest = [
  'apps/lockstep/test/published.test.ts',
  'apps/web/test/learn.test.ts',
  'apps/site/test/site.test.ts',
  'apps/web/test/states.test.ts',
  'packages/tensor/test/gpu-browser.test.ts',
  'apps/web/test/tab-compute.test.ts',
  'apps/web/test/join.test.ts',
  'apps/web/test/gpu.test.ts',
  'apps/web/test/data-kinds.test.ts',
  'apps/web/test/run-again.test.ts',
  'apps/web/test/control.test.ts',
  'apps/web/test/refused.test.ts',
  'apps/lockstep/test/set-up.test.ts',
  'apps/bench/test/compare-program.test.ts',
  'packages/tensor/test/gpu.test.ts',
  'apps/coordinator/test/one-process.test.ts',
  'apps/coordinator/test/resume.test.ts',
  'apps/coordinator/test/fleet.test.ts',
  'apps/coordinator/test/signals.test.ts',
  'apps/coordinator/test/narrow-link.test.ts',
  'apps/coordinator/test/start.test.ts',
  'apps/coordinator/test/kill.test.ts',
  'apps/coordinator/test/documents.test.ts',
  'packages/train/test/verify.test.ts',
  'packages/lesson/test/live.test.ts',
  'packages/lesson/test/digits.test.ts',
  'packages/sim/test/simulation.test.ts',
  'packages/data/test/limits.test.ts',
  'packages/lesson/test/chapters.test.ts',
];

/** Files of different projects cannot share a process: all of a project run in a row. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rankOf = ({ moduleId }: TestSpecification): number => {
      const at = slowest.findIndex((path) => moduleId.endsWith(path));
      return at < 0 ? slowest.length : at;
    };
    const sorted = await super.sort(files);
    return quickProjects.flatMap(({ test }) =>
      sorted.filter(({ project }) => project.name === test!.name).sort((one, other) => rankOf(one) - rankOf(other)),
    );
  }
}

/** Skipped suites and tests, each with the reason if its title or note states one: `a page (skipped: no browser found)`. */
function skippedIn(collection: TestCollection, above = ''): string[] {
  return [...collection].flatMap((child) => {
    const title = `${above}${child.name}`;
    if (child.type === 'suite') {
      return child.options.mode === 'skip' ? [title] : skippedIn(child.children, `${title} > `);
    }
    const { state, note } = child.result() as { readonly state: string; readonly note?: string };
    return state === 'skipped' ? [note ? `${title} (${note})` : title] : [];
  });
}

/** Errors outside any test, and the tests that failed, each with the first lines of its errors. */
function failedIn(module: TestModule): string[] {
  const firstLines = (errors: readonly { readonly message: string }[]): string[] =>
    errors.map(({ message }) => message.split('\n')[0]!);
  const failed = [...module.children.allTests('failed')];
  return [
    ...firstLines(module.errors()),
    ...failed.map((test) => [test.fullName, ...firstLines(test.result().errors ?? [])].join(': ')),
  ];
}

/** Long tests without time are many, and all for this reason. */
const noTime = / \(no time was left for it\)$/;

/** Ends a run with what it skipped, and why, with what passed only when tried again, and with what failed. */
const closingReporter: Reporter = {
  onTestRunEnd(modules: readonly TestModule[]) {
    const list = (heading: string, titlesIn: (module: TestModule) => readonly string[]): void => {
      const lines = modules.flatMap((module) =>
        titlesIn(module).map((title) => `  ${module.relativeModuleId}: ${title}`),
      );
      if (lines.length > 0) process.stdout.write(`${heading}:\n${lines.join('\n')}\n`);
    };
    list('Skipped, and why', ({ children }) => {
      const skipped = skippedIn(children);
      const withoutTime = skipped.filter((title) => noTime.test(title)).length;
      const rest = skipped.filter((title) => !noTime.test(title));
      return withoutTime > 0 ? [...rest, `${withoutTime} tests (no time was left)`] : rest;
    });
    list('Passed at the second attempt', ({ children }) =>
      [...children.allTests('passed')].filter((test) => test.diagnostic()?.flaky).map(({ fullName }) => fullName),
    );
    list('Failed', failedIn);
  },
};

/** Ends the programs that a file has started. */
const endPrograms = 'apps/coordinator/test/end-programs.ts';

/** Many files wait for a page, a process or a socket at times: one more than there are cores keeps all cores busy. */
const maxWorkers = availableParallelism() + 1;

const project = (name: string, test: TestProjectInlineConfiguration['test']): TestProjectInlineConfiguration => ({
  extends: true,
  test: { name, setupFiles: [endPrograms], maxWorkers, ...test },
});

/** In the order in which they run, without a pause in between: the longest files are in the first. */
const quickProjects = [
  // A browser beside two others on a busy machine is at times too late for reasons of its own.
  project('pages', { include: [...waiting, pages], exclude: [...computing, ...long], isolate: false, retry: 1 }),
  project('alone', { include: every, exclude: [...waiting, pages, ...running, ...computing, ...long] }),
  project('apart', { include: apart }),
  project('running', { include: running, exclude: [...apart, pages, ...long], isolate: false }),
  project('computing', { include: computing, exclude: [pages, ...long], isolate: false }),
];

/** Packages whose properties are worth other random values than those of the quick tests. */
const fuzz = ['packages/{nn,protocol,rules,compute,sim}/test/**/*.test.ts'];

const rounds = {
  setupFiles: [endPrograms, './vitest.long.ts'],
  // `npm run test:long` adds the time of a series of rounds.
  testTimeout: 600_000,
  maxWorkers: availableParallelism(),
};
const longProjects = [
  project('fuzz', { include: fuzz, exclude: long, isolate: false, ...rounds }),
  project('long', { include: long, ...rounds }),
];

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
    ...(mode === 'long'
      ? { projects: longProjects }
      : { projects: quickProjects, sequence: { sequencer: LongestFirst } }),
  },
}));
