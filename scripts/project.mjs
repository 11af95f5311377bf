/** Helpers of the scripts: the project's root, the environment of its tools, and messages. */
import { readFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

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
