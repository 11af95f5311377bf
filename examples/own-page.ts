/** Serves a custom page; every tab that opens it computes for a run. */
import { train } from '@lockstep/train';
import { build, preview } from 'vite';

// The page is `page/index.html` of this folder, and its script makes one call: join(address).
const outDir = '../dist/page';
const settings = { root: 'examples/page', configFile: false, logLevel: 'error' } as const;
await build({ ...settings, build: { outDir, emptyOutDir: true }, worker: { format: 'es' } });
const site = await preview({ ...settings, build: { outDir }, preview: { host: '127.0.0.1', port: 0 } });
const origin = new URL(site.resolvedUrls!.local[0]!).origin;

const run = train({ data: 'docs/iris.csv', epochs: 20, listen: { port: 0, allowOrigins: [origin] } });
console.log(`open ${origin}/#${(await run.addresses).worker} in a browser`);
for await (const event of run) {
  if (event.type === 'joined') console.log(event.message);
}
const { report } = await run.result;
console.log(
  `${report.steps} steps, computed by ${report.workers.map(({ kind, name }) => `${name} (${kind})`).join(', ')}`,
);
await site.close();
