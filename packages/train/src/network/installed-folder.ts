/** Where a package of ours that this one needs as files is installed. */
import { createRequire } from 'node:module';
import { dirname } from 'node:path';

/** @throws Error where the package is not installed */
export function installedFolder(packageName: string): string {
  return dirname(createRequire(import.meta.url).resolve(`${packageName}/package.json`));
}
