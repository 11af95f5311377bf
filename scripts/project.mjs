/** Helpers of the scripts: the project's root, messages, and set-up steps that are silent unless they fail. */
import { readFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runChild } from '../apps/lockstep/child.mjs';
import { noteStep } from './set-up-lock.mjs';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
export const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const programs = [join(root, 'node_modules', '.bin'), join(root, '.tools', 'node_modules', '.bin')];

export const environment = {
  ...process.env,
  PATH: [...programs, process.env.PATH].join(delimiter),
  TURBO_TELEMETRY_DISABLED: '1',
  DO_NOT_TRACK: '1',
  TURBO_NO_UPDATE_NOTIFIER: '1',
};

export function log(message) {
  process.stderr.write(`${message}\n`);
}

export function fail(message, code = 1) {
  log(`lockstep: ${message}`);
  process.exit(code);
}

/** Frequent causes of a failed step, recognized in the output of package managers, each with advice. */
const causes = [
  {
    // Error codes of npm, and the wording of pnpm.
    printed:
      /error sending request|\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ERR_SOCKET_TIMEOUT)\b/,
    sentence: (registry) =>
      `the package registry ${registry} could not be reached; check the network, or npm's settings registry and proxy, and run the command again`,
  },
  { printed: /\bENOSPC\b/, sentence: () => `the disk of ${root} is full; make room, and run the command again` },
];

/**
 * Runs a step of the set-up; shows its output only if it fails for an unknown cause.
 * @param mayFail whether the failure is acceptable, asked after it
 * @returns whether it succeeded
 */
export async function quietly(what, program, args, mayFail = () => false) {
  let printed = '';
  const { code, signal, error } = await runChild(program, args, {
    cwd: root,
    env: environment,
    shell: process.platform === 'win32',
    group: true,
    onStart: noteStep,
    output: (text) => {
      printed += text;
    },
  });
  if (signal !== undefined) process.exit(code === 0 ? 130 : code);
  if (code === 0) return true;
  if (mayFail()) return false;
  const cause = causes.find((candidate) => candidate.printed.test(printed));
  if (cause) {
    const [registry = ''] = printed.match(/https?:\/\/[^/\s"']+\//) ?? [];
    fail(`${what} failed: ${cause.sentence(registry)}`.replace(/ {2,}/g, ' '));
  }
  process.stderr.write(printed);
  fail(`${what} failed${error ? `: ${error.message}` : ''}; see its output above`);
}
