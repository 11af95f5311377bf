/** Finds options that npm kept for itself, because no `--` stood before them. */
import { usageFailure } from './failure.ts';

/** Settings of npm's own, which a person may have made for other reasons. */
const settingsOfNpm: ReadonlySet<string> = new Set(['browser', 'help', 'json', 'link', 'save', 'version']);

/**
 * @param usage such as `npm start -- [options]`
 * @param environment where npm leaves the options that it kept
 * @throws CommandFailure with exit code 2 that names them
 */
export function requireDashes(usage: string, names: readonly string[], environment: NodeJS.ProcessEnv): void {
  const kept = names.filter(
    (name) => !settingsOfNpm.has(name) && environment[`npm_config_${name.replaceAll('-', '_')}`] !== undefined,
  );
  if (kept.length === 0) return;
  const options = kept.map((name) => `--${name}`).join(' and ');
  throw usageFailure(`${options}: npm keeps options for itself unless -- stands before them: ${usage}`);
}
