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

/** The digits are kept once a page has asked for them, the other files when the site is first opened. */
const files = readdirSync(dist, { recursive: true })
  .filter((file) => statSync(join(dist, file)).isFile() && !file.endsWith('.packed'))
  .map((file) => file.replaceAll('\\', '/'))
  .sort();
const hash = createHash('sha256');
for (const file of files) hash.update(file).update(readFileSync(join(dist, file)));
const source = readFileSync(new URL('./service-worker.js', import.meta.url), 'utf8');
const values = { FILES: JSON.stringify(files), VERSION: JSON.stringify(hash.digest('hex').slice(0, 16)) };
writeFileSync(
  join(dist, 'service-worker.js'),
  source.replace(/\b(?:FILES|VERSION)\b/g, (name) => values[name]),
);
