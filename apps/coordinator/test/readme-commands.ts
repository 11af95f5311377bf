/** The commands in README.md. */
import { readFileSync } from 'node:fs';

const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');

/** Distinct commands in code, such as `npm run simulate -- --runs 1000`. */
export const readmeCommands = [
  ...new Set(
    [...readme.matchAll(/(?:^|`)(npm (?:start|test|run [\w-]+)(?: -- [^`\n#|]*)?)/gm)].map(([, text]) => text!.trim()),
  ),
];

/** @param command one of `readmeCommands` */
export function wordsOf(command: string): { readonly name: string; readonly args: readonly string[] } {
  const [front, back = ''] = command.split(' -- ');
  return { name: front!.split(' ').at(-1)!, args: back.split(' ').filter((word) => word !== '') };
}
