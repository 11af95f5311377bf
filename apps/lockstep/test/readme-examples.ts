/** The examples of the packages' READMEs. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { workspacePackages } from './packed.ts';

export interface Example {
  /** The packages whose READMEs contain the example. */
  readonly title: string;
  /** `js`: a module for Node. `sh`: commands, one per line. */
  readonly language: 'js' | 'sh';
  readonly code: string;
}

/** Distinct examples. @throws Error if a package has none */
export function readmeExamples(): Example[] {
  const owners = new Map<string, { language: Example['language']; names: string[] }>();
  for (const { folder, manifest } of workspacePackages()) {
    if (manifest.private) continue;
    const readme = readFileSync(join(folder, 'README.md'), 'utf8');
    const found = [...readme.matchAll(/^```(js|sh)\n(.*?)^```$/gms)];
    if (found.length === 0) throw new Error(`README.md of ${manifest.name}: expected an example in js or sh, got none`);
    for (const [, language, code] of found) {
      const owner = owners.get(code!) ?? { language: language as Example['language'], names: [] };
      owner.names.push(manifest.name);
      owners.set(code!, owner);
    }
  }
  return [...owners].map(([code, { language, names }]) => ({ title: names.join(', '), language, code }));
}
