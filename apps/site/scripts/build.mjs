/** Builds the site into `dist`: the guides and the API reference, the page that trains, and its service worker. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build as buildPage } from 'vite';
import { build as buildGuides } from 'vitepress';

const folder = fileURLToPath(new URL('../', import.meta.url));
const dist = join(folder, 'dist');

const { status } = spawnSync(process.execPath, [join(folder, '../reference/dist/main.js')], { stdio: 'inherit' });
if (status !== 0) process.exit(status ?? 1);
await buildGuides(folder);
await buildPage({ configFile: join(folder, 'vite.config.ts'), logLevel: 'warn' });

const names = readdirSync(dist, { recursive: true })
  .filter((file) => statSync(join(dist, file)).isFile())
  .map((file) => file.replaceAll('\\', '/'))
  .sort();
const isDigits = (file) => file.endsWith('.packed');
const files = names.filter((file) => !isDigits(file));
const digits = names.filter(isDigits);
const versionOf = (list) => {
  const hash = createHash('sha256');
  for (const file of list) hash.update(file).update(readFileSync(join(dist, file)));
  return hash.digest('hex').slice(0, 16);
};
const values = { FILES: files, VERSION: versionOf(files), DIGITS: digits, DIGITS_VERSION: versionOf(digits) };
const source = readFileSync(new URL('./service-worker.js', import.meta.url), 'utf8');
writeFileSync(
  join(dist, 'service-worker.js'),
  source.replace(/\b(?:FILES|VERSION|DIGITS|DIGITS_VERSION)\b/g, (name) => JSON.stringify(values[name])),
);
