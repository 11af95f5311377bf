/** What the scripts share: where the project is, how they speak, and set-up steps that are silent unless they fail. */
import { readFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runChild } from '../apps/lockstep/child.mjs';

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

/** Runs a step of the set-up; what it printed is shown only if it fails. */
export async function quietly(what, program, args) {
  let printed = '';
  const { code, signal, error } = await runChild(program, args, {
    cwd: root,
    env: environment,
    shell: process.platform === 'win32',
    group: true,
    output: (text) => {
      printed += text;
    },
  });
  if (signal !== undefined) process.exit(code === 0 ? 130 : code);
  if (code === 0) return;
  process.stderr.write(printed);
  fail(`${what} failed${error ? `: ${error.message}` : ''}; what it printed stands above`);
}
