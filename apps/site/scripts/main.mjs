/** `npm run site`: says where the built site is, and with `--serve [PORT]` serves it on this machine. */
import { fileURLToPath } from 'node:url';
import { serve } from './serve.mjs';

const dist = fileURLToPath(new URL('../dist', import.meta.url));
const [flag, port = '8080', ...rest] = process.argv.slice(2);

if (flag === undefined) {
  process.stdout.write(
    `The site: ${dist}\nAny host of static files can serve it, at any path. Here: npm run site -- --serve\n`,
  );
} else if (flag === '--serve' && rest.length === 0 && /^\d+$/.test(port)) {
  const { url } = await serve(dist, Number(port));
  process.stdout.write(`The site: ${url}\n`);
} else {
  process.stderr.write(
    `lockstep: site: expected nothing, --serve or --serve PORT, got ${process.argv.slice(2).join(' ')}\n`,
  );
  process.exitCode = 2;
}
