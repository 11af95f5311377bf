/** `npm run docs`: writes the API reference to `docs/api` and the page of all options, as Markdown. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { entries, optionsPage, readReference } from './reference.ts';

const reference = await readReference();
await reference.write(fileURLToPath(new URL('../../../docs/api/', import.meta.url)));
for (const warning of reference.warnings) process.stderr.write(`${warning}\n`);
process.stdout.write(`docs/api/README.md: the reference of ${Object.keys(entries).join(', ')}\n`);
writeFileSync(new URL('../../../docs/options.md', import.meta.url), optionsPage());
process.stdout.write('docs/options.md: the options of the commands\n');
process.exitCode = reference.warnings.length === 0 ? 0 : 1;
