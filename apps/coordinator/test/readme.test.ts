import { readFileSync } from 'node:fs';
import type { Option } from '@lockstep/command';
import { expect, it } from 'vitest';
import { commands } from '../src/options.ts';

/** Such as "| `--batch N` | samples | 128 |". */
function markdownRow([name, { placeholder, description, fallback, defaultText }]: [string, Option<unknown>]): string {
  const flag = placeholder === undefined ? `--${name}` : `--${name} ${placeholder}`;
  const cells = [`\`${flag}\``, description, defaultText ?? (fallback === false ? '' : String(fallback ?? ''))];
  return `|${cells.map((cell) => ` ${cell}`.replaceAll('|', '\\|').trimEnd()).join(' |')} |`;
}

it('README.md has a row for each option, with its value, meaning and default', () => {
  const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
  const header = '| option | meaning | default |\n|---|---|---|\n';
  const [, afterHeader = ''] = readme.split(header);
  const rows = afterHeader.split('\n\n')[0]!.split('\n');
  expect(rows).toEqual(Object.entries(commands.start.options).map(markdownRow));
});
