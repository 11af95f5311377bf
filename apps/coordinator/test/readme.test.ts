import { readFileSync } from 'node:fs';
import { markdownRows } from '@lockstep/command';
import { expect, it } from 'vitest';
import { commands } from '../src/options.ts';

it('README.md has a row for each option, with its value, meaning and default', () => {
  const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
  const header = '| option | meaning | default |\n|---|---|---|\n';
  const [, afterHeader = ''] = readme.split(header);
  const rows = afterHeader.split('\n\n')[0]!.split('\n');
  expect(rows).toEqual(markdownRows(commands.start.options));
});
