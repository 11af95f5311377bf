/** Reads a folder of pictures, with one folder for each class, as a data set. */
import { DataError } from '../data-error.ts';
import { type Dataset, maxClasses, type Targets } from '../dataset.ts';
import { requirePixels } from '../limits.ts';
import { sortedNames } from '../readers/class-names.ts';
import { foundLine, type OpenedDataset, partsText, plural, targetsText } from '../readers/opened-dataset.ts';
import { listed, shownName } from '../readers/table.ts';
import { type SplitOptions, splitIndices } from '../split.ts';
import { areAllOf, areGray, type PictureOptions, pictureLanes, type Read, totalsOf, usualSize } from './choose-form.ts';
import type { PictureDecoder, PictureForm } from './decoder.ts';
import { forEachBounded } from './for-each-bounded.ts';
import { type LabeledPicture, type PictureFile, pictureTree } from './tree.ts';

const maxBytes = 2 ** 31;
const freeBytes = 2 ** 28;
const bytesPerFileByte = 64;
const bytesPerGiB = 2 ** 30;

/**
 * Reads pictures as samples, each of the class that its first folder names.
 * At most eight files are open and decoded at a time; apart from them, only the pixels that the model sees are kept.
 * @param files files of the folder, in any order
 * @param name name of the folder, which begins messages
 * @throws DataError with one sentence that names the picture
 */
export async function readPictures(
  files: readonly PictureFile[],
  name: string,
  decoder: PictureDecoder,
  options: PictureOptions & SplitOptions = {},
): Promise<OpenedDataset> {
  const tree = pictureTree(files, name, options.classes ? 1 : 2);
  const names = options.classes ?? sortedNames(tree.train.map(({ className }) => className));
  if (names.length > maxClasses) {
    throw new DataError(`${name}: expected at most ${maxClasses} classes, got ${names.length}`);
  }
  const parts = splitPictures(tree.train, tree.test, names, name, options);
  const all = [...parts.train, ...parts.test];
  const read: Read = (picture, use) => readPicture(picture, name, use);
  const totals = await totalsOf(all, decoder, read);
  const size = options.size ?? usualSize(totals, all.length);
  // Only the overall limit applies to a size that the user chose.
  const most = options.size ? maxBytes : packedLimit(totals.fileBytes);
  const { fit = 'cover' } = options;
  requireMemory(name, all.length, { ...size, channels: options.gray === false ? 3 : 1, fit }, most);
  requirePixels(name, totals.pixels, totals.fileBytes);
  const isGray = options.gray ?? (await areGray(all, decoder, read));
  const form: PictureForm = { ...size, channels: isGray ? 1 : 3, fit };
  requireMemory(name, all.length, form, most);
  const train = await decodeAll(parts.train, names, form, decoder, read);
  const test = await decodeAll(parts.test, names, form, decoder, read);
  const counts = partsText({ train, test }, tree.test ? undefined : options);
  const what = `${plural(all.length, 'picture')}, ${targetsText(train.targets)}, ${formText(form, areAllOf(form, totals, all.length))}; ${counts}`;
  const found = foundLine([{ name }], `${what}${leftOutText(tree.leftOut)}`);
  return { train, test, found, reading: { type: 'pictures', fit: form.fit } };
}

async function readPicture<Value>(
  { path, read }: LabeledPicture,
  name: string,
  use: (bytes: Uint8Array) => Promise<Value>,
): Promise<Value> {
  const bytes = await read();
  try {
    return await use(bytes);
  } catch (error) {
    const got = (error as Error).message.trim().split('\n')[0];
    throw new DataError(`${name}/${path}: expected a PNG, JPEG or WebP picture, got one that cannot be read: ${got}`);
  }
}

interface Parts {
  readonly train: readonly LabeledPicture[];
  readonly test: readonly LabeledPicture[];
}

function splitPictures(
  train: readonly LabeledPicture[],
  test: readonly LabeledPicture[] | undefined,
  names: readonly string[],
  name: string,
  options: SplitOptions,
): Parts {
  const known = new Set(names);
  const stray = [...train, ...(test ?? [])].find(({ className }) => !known.has(className));
  if (stray !== undefined) {
    const expected = `one of the classes to train with (${listed(names)})`;
    throw new DataError(`${name}/${stray.path}: expected ${expected}, got ${shownName(stray.className)}`);
  }
  if (test === undefined) {
    const indices = splitIndices(targetsOf(train, names), train.length, name, options);
    const pick = (chosen: Uint32Array) => Array.from(chosen, (index) => train[index]!);
    return { train: pick(indices.train), test: pick(indices.test) };
  }
  return { train, test };
}

function targetsOf(pictures: readonly LabeledPicture[], names: readonly string[]): Targets {
  const indexOf = new Map(names.map((className, index) => [className, index]));
  return { type: 'classes', labels: Uint16Array.from(pictures, ({ className }) => indexOf.get(className)!), names };
}

async function decodeAll(
  pictures: readonly LabeledPicture[],
  names: readonly string[],
  form: PictureForm,
  decoder: PictureDecoder,
  read: Read,
): Promise<Dataset> {
  const sampleShape = [form.height, form.width, form.channels];
  const size = form.height * form.width * form.channels;
  const samples = new Uint8Array(pictures.length * size);
  await forEachBounded(pictures, pictureLanes, async (picture, index) => {
    samples.set(await read(picture, (bytes) => decoder.decode(bytes, form)), index * size);
  });
  return { samples, sampleShape, count: pictures.length, targets: targetsOf(pictures, names) };
}

/** Returns the maximum bytes of pixels for files of this size. */
function packedLimit(fileBytes: number): number {
  return Math.min(maxBytes, Math.max(freeBytes, bytesPerFileByte * fileBytes));
}

function requireMemory(name: string, count: number, { width, height, channels }: PictureForm, most: number): void {
  const bytes = count * width * height * channels;
  if (bytes <= most) return;
  const got = `${inGiB(bytes)} for ${plural(count, 'picture')} of ${width} x ${height}`;
  const expected = `at most ${inGiB(most)} of pixels`;
  throw new DataError(`${name}: expected ${expected}, got ${got}: give a smaller size, such as --size 64x64`);
}

function inGiB(bytes: number): string {
  return `${Number((bytes / bytesPerGiB).toFixed(1))} GiB`;
}

function formText({ width, height, channels, fit }: PictureForm, isOriginalSize: boolean): string {
  const size = `${width} x ${height}`;
  return `${isOriginalSize ? size : `scaled to ${size} (${fit})`}, ${channels === 1 ? 'gray' : 'color'}`;
}

function leftOutText(paths: readonly string[]): string {
  return paths.length === 0 ? '' : `; left out ${plural(paths.length, 'other file')} (${listed(paths)})`;
}
