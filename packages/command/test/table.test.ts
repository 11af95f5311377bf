import { describe, expect, it } from 'vitest';
import { formatTable } from '../src/program.ts';

describe('formatTable', () => {
  it('sets text left and numbers right, under their headers', () => {
    const columns = [
      { header: 'layer' },
      { header: 'parameters', align: 'right' },
      { header: 'ms', align: 'right' },
    ] as const;
    const rows = [
      ['dense', '101,770', '0.57'],
      ['convolution', '4', '12.1'],
    ];
    expect(formatTable(columns, rows).split('\n')).toEqual([
      'layer        parameters    ms',
      'dense           101,770  0.57',
      'convolution           4  12.1',
    ]);
  });

  it('has no line of headers if no column has one', () => {
    expect(
      formatTable(
        [{}, { align: 'right' }],
        [
          ['a', '1'],
          ['bc', '20'],
        ],
      ),
    ).toBe('a    1\nbc  20');
  });

  it('leaves the header of a column empty if only others have one', () => {
    expect(formatTable([{}, { header: 'ms', align: 'right' }], [['a', '1']])).toBe('   ms\na   1');
  });

  it('shows headers alone if there are no rows', () => {
    expect(formatTable([{ header: 'a' }, { header: 'b' }], [])).toBe('a  b');
    expect(formatTable([{}], [])).toBe('');
  });

  it('begins each line with the indent and ends none with spaces', () => {
    expect(
      formatTable(
        [{}, {}],
        [
          ['a', ''],
          ['', 'b'],
        ],
        '  ',
      ),
    ).toBe('  a\n     b');
  });

  it('counts characters that are shown, not the codes of colors', () => {
    const green = (text: string): string => `\u001b[32m${text}\u001b[39m`;
    expect(
      formatTable(
        [{}, {}],
        [
          [green('ok'), 'x'],
          ['😀 wide', 'y'],
        ],
      ),
    ).toBe(`${green('ok')}      x\n😀 wide  y`);
  });

  it('names the length of a row that does not fit', () => {
    expect(() => formatTable([{}, {}], [['a']])).toThrow('table: expected 2 cells in a row, got 1');
  });
});
