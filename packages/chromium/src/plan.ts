/** What is done so that there is a browser to test in: the rules, without a process or a file. */

/** A way to get a browser. */
export type Way = 'download' | 'apt';

/** What is known so far. */
export interface Known {
  /** A browser that lies on this machine and runs. */
  readonly found: string | undefined;
  /** Whether the person said that no browser is wanted. */
  readonly isUnwanted: boolean;
  /** The ways that were tried and led to none, in order. */
  readonly failed: readonly { readonly way: Way; readonly reason: string }[];
  /** Whether Debian's packages can be installed: its installer is there, and this process may use it. */
  readonly mayInstall: boolean;
}

export type Step =
  | { readonly do: 'use'; readonly path: string }
  | { readonly do: 'try'; readonly way: Way }
  | { readonly do: 'skip'; readonly message: string };

/** For a person, in the project's folder. */
export const installCommand = 'npx pnpm --filter @lockstep/chromium exec playwright-core install --with-deps chromium';

/** A browser that is there, else Playwright's download, else Debian's package, else a sentence with what to do. */
export function nextStep({ found, isUnwanted, failed, mayInstall }: Known): Step {
  if (isUnwanted) return { do: 'skip', message: 'the browser tests are skipped: CHROME_PATH is none' };
  if (found !== undefined) return { do: 'use', path: found };
  const isUntried = (way: Way): boolean => failed.every((each) => each.way !== way);
  if (isUntried('download')) return { do: 'try', way: 'download' };
  if (mayInstall && isUntried('apt')) return { do: 'try', way: 'apt' };
  const reasons = failed.map(({ way, reason }) => `${wayTitles[way]} failed (${reason})`).join(' and ');
  return {
    do: 'skip',
    message: `the browser tests are skipped: no Chrome or Chromium was found, and ${reasons}; run ${installCommand}, or set CHROME_PATH`,
  };
}

export const wayTitles: Readonly<Record<Way, string>> = {
  download: "Playwright's download",
  apt: "Debian's package",
};
