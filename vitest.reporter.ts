/** Ends the log of a test run with what a reader looks for: skipped tests, flaky tests and failures. */
import type { Reporter, TestCollection, TestModule } from 'vitest/node';

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
export const closingReporter: Reporter = {
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
