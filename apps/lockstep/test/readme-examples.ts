/** The examples of the packages' READMEs. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { workspacePackages } from './packed.ts';

export interface Example {
  /** Of the package, with a number where there are several. */
  readonly title: string;
  /** `js`: a module for Node. `sh`: commands, one a line. */
  readonly language: 'js' | 'sh';
  readonly code: string;
}

/** @throws Error where a package has none */
export function readmeExamples(): Example[] {
  return workspacePackages().flatMap(({ folder, manifest }) => {
    if (manifest.private) return [];
    const readme = readFileSync(join(folder, 'README.md'), 'utf8');
    const found = [...readme.matchAll(/^```(js|sh)\n(.*?)^```$/gms)];
    if (found.length === 0) throw new Error(`README.md of ${manifest.name}: expected an example in js or sh, got none`);
    return found.map(([, language, code], index) => ({
      title: found.length === 1 ? manifest.name : `${manifest.name}, ${index + 1}`,
      language: language as Example['language'],
      code: code!,
    }));
  });
}
