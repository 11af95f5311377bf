/** The version of an installed package, from its manifest. */
import { readFile } from 'node:fs/promises';

/** `specifier` names a package whose entry lies one folder below its package.json. */
export async function packageVersion(specifier: string): Promise<string> {
  const manifest = new URL('../package.json', import.meta.resolve(specifier));
  return (JSON.parse(await readFile(manifest, 'utf8')) as { version: string }).version;
}
