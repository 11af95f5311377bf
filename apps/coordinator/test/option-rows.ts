/** The rows of README.md for a table of options. */
import { readFileSync } from 'node:fs';
import type { Option, Options } from '@lockstep/command';

/** Those under a header with this title, as README.md has them, and as the options make them. */
export function optionRows(title: string, options: Options): { readonly got: string[]; readonly expected: string[] } {
  const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
  const [, afterHeader = ''] = readme.split(`| ${title} | meaning | default |\n|---|---|---|\n`);
  return { got: afterHeader.split('\n\n')[0]!.split('\n'), expected: Object.entries(options).map(markdownRow) };
}

/** Such as "| `--batch N` | samples | 128 |". */
function markdownRow([name, { placeholder, description, fallback, defaultText }]: [string, Option<unknown>]): string {
  const flag = placeholder === undefined ? `--${name}` : `--${name} ${placeholder}`;
  const cells = [`\`${flag}\``, description, defaultText ?? (fallback === false ? '' : String(fallback ?? ''))];
  return `|${cells.map((cell) => ` ${cell}`.replaceAll('|', '\\|').trimEnd()).join(' |')} |`;
}
