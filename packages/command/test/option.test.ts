import { describe, expect, it } from 'vitest';
import { CommandFailure } from '../src/failure.ts';
import { lineOption } from '../src/option.ts';
import { parseOptions } from '../src/parse.ts';

const table = { name: lineOption('NAME', 'a name', 5) };

describe('lineOption', () => {
  it.each(['a', 'abcde', 'a b', 'zoë', '👩\u200d🏫', 'می\u200cم'])('takes %j', (text) => {
    expect(parseOptions(table, ['--name', text])).toEqual({ name: text });
  });

  it.each(['', ' ', 'abcdef', 'a\nb', '\u001b[m', 'a\u202eb', '\ud800'])('refuses %j', (text) => {
    const parse = () => parseOptions(table, [`--name=${text}`]);
    expect(parse).toThrow(CommandFailure);
    expect(parse).toThrow(/^--name: expected one line of 1 to 5 printable characters, got /);
  });
});
