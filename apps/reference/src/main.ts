/** `npm run docs`: writes the API reference to `docs/api`, as Markdown. */
import { fileURLToPath } from 'node:url';
import { entries, readReference } from './reference.ts';

const reference = await readReference();
await reference.write(fileURLToPath(new URL('../../../docs/api/', import.meta.url)));
for (const warning of reference.warnings) process.stderr.write(`${warning}\n`);
process.stdout.write(`docs/api/README.md: the reference of ${Object.keys(entries).join(', ')}\n`);
process.exitCode = reference.warnings.length === 0 ? 0 : 1;
