/** README.md and the guides in `docs`: their commands, programs and links. */
import { readdirSync, readFileSync } from 'node:fs';

const root = new URL('../../../', import.meta.url);

/** Text by path. */
export const documents: ReadonlyMap<string, string> = new Map(
  [
    'README.md',
    'ARCHITECTURE.md',
    'CONTRIBUTING.md',
    ...readdirSync(new URL('docs', root)).map((name) => `docs/${name}`),
  ]
    .filter((path) => path.endsWith('.md'))
    .map((path) => [path, readFileSync(new URL(path, root), 'utf8')]),
);

const guides = [...documents]
  .filter(([path]) => path === 'README.md' || (path.startsWith('docs/') && path !== 'docs/options.md'))
  .map(([, text]) => text);

/** Distinct commands in code, such as `npm run simulate -- --runs 1000`. */
export const documentedCommands = [
  ...new Set(
    guides.flatMap((text) =>
      [...text.matchAll(/(?:^|`)(npm (?:start|test|run [\w:-]+)(?: -- [^`\n#|…]*)?)/gm)].map(([, command]) =>
        command!.trim(),
      ),
    ),
  ),
].filter((command) => !command.includes('COMMAND'));

/** Programs for Node, as written. */
export const documentedPrograms = guides.flatMap((text) =>
  [...text.matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(([, program]) => program!),
);

/** Models, as JSON. */
export const documentedModels = guides.flatMap((text) =>
  [...text.matchAll(/^```json\n(\{[^`]*"layers"[^`]*)^```$/gm)].map(([, model]) => model!),
);

/** @param command one of `documentedCommands` */
export function wordsOf(command: string): { readonly name: string; readonly args: readonly string[] } {
  const [front, back = ''] = command.split(' -- ');
  return {
    name: front!.split(' ').at(-1)!,
    args: [...back.matchAll(/"([^"]*)"|\S+/g)].map(([word, quoted]) => quoted ?? word),
  };
}
