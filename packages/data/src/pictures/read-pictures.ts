/** Reads a folder of pictures, with one folder for each class, as a data set. */
import { argumentKinds, checkArguments, limitOf, objectWith, unexpected } from '../data-error.ts';
import { classTargets, type Dataset, maxClasses, samplesOf, type Targets } from '../dataset.ts';
import { type SplitOptions, splitIndices } from '../order.ts';
import { listed, shownName, sortedNames } from '../readers/table.ts';
import { foundLine, type OpenedDataset, type PictureFit, partsText, targetsText } from '../readers/table-dataset.ts';
import { errorMessage, plural, thousands } from '../shown.ts';

/** Size in pixels. */
export interface PictureSize {
  /** Size after the orientation tag is applied. */
  readonly width: number;
  readonly height: number;
}

/** Facts about an encoded picture, known before it is decoded. */
export interface PictureInfo extends PictureSize {
  /** Whether red, green and blue are equal in each pixel. */
  readonly isGray: () => Promise<boolean>;
}

/** Form that a picture is decoded to. */
export interface PictureForm extends PictureSize {
  /** 1: gray; 3: red, green and blue. */
  readonly channels: 1 | 3;
  readonly fit: PictureFit;
}

/** Whether red, green and blue are equal in each of the pixels, which have `channels` bytes. */
export function hasNoColor(pixels: ArrayLike<number>, channels: 3 | 4): boolean {
  for (let at = 0; at < pixels.length; at += channels) {
    if (pixels[at] !== pixels[at + 1] || pixels[at] !== pixels[at + 2]) return false;
  }
  return true;
}

/** Formats that no decoder here reads, by their first bytes as Latin-1. */
const refusedFormats: readonly (readonly [head: RegExp, name: string])[] = [
  [/^GIF8/, 'GIF'],
  [/^BM/, 'BMP'],
  [/^(?:II\*\0|MM\0\*)/, 'TIFF'],
  [/^.{4}ftyp(?:hei|hev|mif1|msf1)/s, 'HEIC'],
  [/^.{4}ftypavi/s, 'AVIF'],
  [/^(?:\xff\n|.{4}JXL )/s, 'JPEG XL'],
  [/^(?:\xef\xbb\xbf)?\s*<(?:\?xml|!DOCTYPE svg|!--|svg)/, 'SVG'],
];

/**
 * Requires the first bytes of a PNG, JPEG or WebP file, so that all decoders take the same files.
 * @throws Error with a phrase about the file
 */
export function requirePicture(bytes: Uint8Array): void {
  const head = String.fromCharCode(...bytes.subarray(0, 64));
  if (/^(?:\x89PNG|\xff\xd8\xff|RIFF.{4}WEBP)/s.test(head)) return;
  if (bytes.length === 0) throw new Error('it is empty');
  const refused = refusedFormats.find(([pattern]) => pattern.test(head));
  throw new Error(refused ? `${refused[1]} pictures must be converted first` : 'its format is unknown');
}

/**
 * Decodes PNG, JPEG and WebP files, turned as their EXIF orientation says.
 * Rounds 16 bits to 8, converts CMYK, and takes only the first frame of an animation.
 * Each method throws an Error with a sentence if the bytes are in another format or damaged.
 */
export interface PictureDecoder {
  readonly describe: (bytes: Uint8Array) => Promise<PictureInfo>;
  /** Returns u8 [height, width, channels] in new memory; transparent parts become white. */
  readonly decode: (bytes: Uint8Array, form: PictureForm) => Promise<Uint8Array>;
}

const decoderKind = objectWith('a decoder of pictures, which openPageDecoder and openSharpDecoder give', 'describe');

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
  checkArguments(
    'readPictures',
    [argumentKinds.files, files],
    [argumentKinds.text, name],
    [decoderKind, decoder],
    [argumentKinds.options, options],
  );
  const leastClasses = options.classes ? 1 : 2;
  const given = pictureTree(files, name, leastClasses);
  const bad = options.skipBad ? await unreadable([...given.train, ...(given.test ?? [])], decoder) : [];
  const badPaths = new Set(bad.map(({ path }) => path));
  const tree = bad.length === 0 ? given : pictureTree(files, name, leastClasses, badPaths);
  const names = options.classes ?? sortedNames(tree.train.map(({ className }) => className));
  if (names.length > maxClasses) throw unexpected(name, `at most ${maxClasses} classes`, names.length);
  const parts = splitPictures(tree, names, name, options);
  const all = [...parts.train, ...parts.test];
  /** Number of pictures of each size, by width and height. */
  const sizes = new Map<string, number>();
  let [pixels, fileBytes] = [0, 0];
  await eachPicture(all, name, async (bytes) => {
    const { width, height } = await decoder.describe(bytes);
    sizes.set(`${width} x ${height}`, (sizes.get(`${width} x ${height}`) ?? 0) + 1);
    pixels += width * height;
    fileBytes += bytes.length;
  });
  const size = options.size ?? usualSize(sizes, all.length);
  // Only the overall limit applies to a size that the user chose.
  const most = limitOf('pixelBytes', options.size ? undefined : fileBytes);
  const { fit = 'cover' } = options;
  requireMemory(name, all.length, { ...size, channels: options.gray === false ? 3 : 1, fit }, most);
  const mostDecoded = limitOf('decodedPixels', fileBytes);
  if (pixels > mostDecoded) {
    const expected = `pictures of at most ${inMegapixels(mostDecoded)} in files of their size`;
    throw unexpected(name, expected, inMegapixels(pixels));
  }
  let isGray = options.gray ?? true;
  if (options.gray === undefined) {
    // The first picture with colors decides: no more are decoded.
    await eachPicture(all, name, async (bytes) => {
      if (isGray && !(await (await decoder.describe(bytes)).isGray())) isGray = false;
    });
  }
  const form: PictureForm = { ...size, channels: isGray ? 1 : 3, fit };
  requireMemory(name, all.length, form, most);
  const train = await decodeAll(parts.train, name, names, form, decoder);
  const test = await decodeAll(parts.test, name, names, form, decoder);
  const counts = partsText({ train, test }, tree.test ? undefined : options);
  const isOriginal = sizes.get(`${size.width} x ${size.height}`) === all.length;
  const what = `${plural(all.length, 'picture')}, ${targetsText(train.targets)}, ${formText(form, isOriginal)}; ${counts}`;
  const found = foundLine([{ name }], `${what}${leftOutText(tree.leftOut)}${skippedText(bad)}`);
  return { train, test, found, reading: { type: 'pictures', fit: form.fit } };
}

/** Number of pictures that are read and decoded at a time. */
const pictureLanes = 8;

/**
 * Calls `use` with each picture, a few at a time. Rejects with the first error, which names the picture and after which
 * no more are read.
 */
async function eachPicture(
  pictures: readonly LabeledPicture[],
  name: string,
  use: (bytes: Uint8Array, index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < pictures.length) {
      const index = next++;
      const { path, read } = pictures[index]!;
      try {
        const bytes = await read();
        await use(bytes, index).catch((error: Error) => {
          const got = `a file that cannot be read: ${firstLine(error)}; use --skip-bad to continue without it`;
          throw unexpected(`${name}/${path}`, 'a PNG, JPEG or WebP picture', got);
        });
      } catch (error) {
        next = pictures.length;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(pictureLanes, pictures.length) }, lane));
}

function firstLine(error: unknown): string {
  return errorMessage(error).trim().split('\n')[0]!;
}

interface BadPicture {
  readonly path: string;
  readonly reason: string;
}

/** Decodes every picture once. @returns those that cannot be read, in the order of `pictures` */
async function unreadable(pictures: readonly LabeledPicture[], decoder: PictureDecoder): Promise<BadPicture[]> {
  const reasons = new Map<string, string>();
  const tried = pictures.map(({ path, className, read }) => {
    const readOrSkip = async (): Promise<Uint8Array> => {
      try {
        const bytes = await read();
        await decoder.describe(bytes);
        await decoder.decode(bytes, { width: 1, height: 1, channels: 3, fit: 'stretch' });
      } catch (error) {
        reasons.set(path, firstLine(error));
      }
      return new Uint8Array();
    };
    return { path, className, read: readOrSkip };
  });
  await eachPicture(tried, '', async () => {});
  return pictures.flatMap(({ path }) => (reasons.has(path) ? [{ path, reason: reasons.get(path)! }] : []));
}

function splitPictures({ train, test }: PictureTree, names: readonly string[], name: string, options: SplitOptions) {
  const known = new Set(names);
  const stray = [...train, ...(test ?? [])].find(({ className }) => !known.has(className));
  if (stray !== undefined) {
    const expected = `one of the known classes (${listed(names)})`;
    throw unexpected(`${name}/${stray.path}`, expected, shownName(stray.className));
  }
  if (test !== undefined) return { train, test };
  const indices = splitIndices(targetsOf(train, names), train.length, name, options);
  const pick = (chosen: Uint32Array) => Array.from(chosen, (index) => train[index]!);
  return { train: pick(indices.train), test: pick(indices.test) };
}

function targetsOf(pictures: readonly LabeledPicture[], names: readonly string[]): Targets {
  const indexOf = new Map(names.map((className, index) => [className, index]));
  return classTargets(
    Uint16Array.from(pictures, ({ className }) => indexOf.get(className)!),
    names,
  );
}

async function decodeAll(
  pictures: readonly LabeledPicture[],
  name: string,
  names: readonly string[],
  form: PictureForm,
  decoder: PictureDecoder,
): Promise<Dataset> {
  const size = form.height * form.width * form.channels;
  const samples = new Uint8Array(pictures.length * size);
  await eachPicture(pictures, name, async (bytes, index) => {
    samples.set(await decoder.decode(bytes, form), index * size);
  });
  const shape = [form.height, form.width, form.channels];
  return { samples: samplesOf(samples, shape), targets: targetsOf(pictures, names), count: pictures.length };
}

function requireMemory(name: string, count: number, { width, height, channels }: PictureForm, most: number): void {
  const bytes = count * width * height * channels;
  if (bytes <= most) return;
  const got = `${inGiB(bytes)} for ${plural(count, 'picture')} of ${width} x ${height}`;
  const expected = `at most ${inGiB(most)} of pixels`;
  throw unexpected(name, expected, `${got}: use --size 64x64 or less`);
}

function inGiB(bytes: number): string {
  return `${Number((bytes / 2 ** 30).toFixed(1))} GiB`;
}

function inMegapixels(pixels: number): string {
  return `${thousands(Math.ceil(pixels / 2 ** 20))} megapixels`;
}

function formText({ width, height, channels, fit }: PictureForm, isOriginalSize: boolean): string {
  const size = `${width} x ${height}`;
  return `${isOriginalSize ? size : `scaled to ${size} (${fit})`}, ${channels === 1 ? 'gray' : 'color'}`;
}

function leftOutText(paths: readonly string[]): string {
  return paths.length === 0 ? '' : `; ignored ${plural(paths.length, 'other file')} (${listed(paths)})`;
}

/** Number of unreadable pictures that a message names. */
const mostNamed = 3;

function skippedText(bad: readonly BadPicture[]): string {
  if (bad.length === 0) return '';
  const named = bad.slice(0, mostNamed).map(({ path, reason }) => `${shownName(path)}: ${reason}`);
  const more = bad.length > mostNamed ? ', …' : '';
  return `; skipped ${plural(bad.length, 'picture')} that cannot be read (${named.join(', ')}${more})`;
}

/** Form and classes of the pictures. */
export interface PictureOptions {
  /**
   * Default: the size of more than half of the pictures, scaled down to at most 64 pixels per side, or 32 x 32 if there is none.
   */
  readonly size?: PictureSize | undefined;
  /** Default: whether no picture has colors. */
  readonly gray?: boolean | undefined;
  /** Default `cover`. */
  readonly fit?: PictureFit | undefined;
  /** Whether to skip pictures that cannot be read, and name them; by default, the first one is an error. */
  readonly skipBad?: boolean | undefined;
  /** Classes of an already trained model, in its order; default the names of the folders, sorted. */
  readonly classes?: readonly string[] | undefined;
}

const fallbackSize = { width: 32, height: 32 };
/** Longest side by default: a photo's own size would give models that train for hours. */
const longestSide = 64;

/** Returns the size of more than half of the pictures, scaled down, or the fallback if there is none. */
function usualSize(sizes: ReadonlyMap<string, number>, total: number): PictureSize {
  const [most] = [...sizes].sort(([, a], [, b]) => b - a);
  if (most === undefined || 2 * most[1] <= total) return fallbackSize;
  const [width, height] = most[0].split(' x ').map(Number);
  const scale = Math.min(1, longestSide / Math.max(width!, height!));
  const scaled = (side: number): number => Math.max(1, Math.round(side * scale));
  return { width: scaled(width!), height: scaled(height!) };
}

/** A file that may be a picture, read on demand. */
export interface PictureFile {
  /** Path relative to the opened folder, with slashes. */
  readonly path: string;
  readonly read: () => Promise<Uint8Array>;
}

interface LabeledPicture extends PictureFile {
  readonly className: string;
}

interface PictureTree {
  readonly train: readonly LabeledPicture[];
  /** Undefined unless the folder has one for training and one for testing. */
  readonly test: readonly LabeledPicture[] | undefined;
  /** Paths of files that are not pictures, or not in a class. */
  readonly leftOut: readonly string[];
}

/** Includes formats that are refused: to leave them out would hide a whole class from its owner. */
const pictureName = /\.(?:png|jpe?g|webp|gif|bmp|tiff?|hei[cf]|avif|jxl|svg)$/i;
/** Hidden files, and files that operating systems write into folders. */
const systemName = /^(?:\..*|__MACOSX|Thumbs\.db|desktop\.ini)$/i;
const trainName = /^train(?:ing)?$/i;
const testNames = [/^test(?:ing)?$/i, /^val(?:id|idation)?$/i];

/**
 * Sorts pictures into classes. A picture's class is its first folder, at any depth; below `train` and `test` it is the
 * second.
 * Hidden files and files of operating systems are skipped.
 * @param files in any order: the result is sorted by path
 * @param name name of the folder, for messages
 * @param leastClasses minimum number of classes with training pictures
 * @param bad paths of pictures to skip
 * @throws DataError if there are fewer classes
 */
export function pictureTree(
  files: readonly PictureFile[],
  name: string,
  leastClasses = 2,
  bad: ReadonlySet<string> = new Set(),
): PictureTree {
  const seen = files
    .filter(({ path }) => !bad.has(path) && !path.split('/').some((part) => systemName.test(part)))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
  const pictures = seen.filter(({ path }) => pictureName.test(path));
  const parts = partFolders(pictures);
  const train = labeled(pictures, parts?.train);
  const test = parts && labeled(pictures, parts.test);
  const used = new Set([...train, ...(test ?? [])].map(({ path }) => path));
  const leftOut = seen.filter(({ path }) => !used.has(path)).map(({ path }) => path);
  requireClasses(train, leastClasses, parts ? `${name}/${parts.train}` : name, leftOut);
  return { train, test, leftOut };
}

/** Returns the first folders of the paths that are for training and for testing, if both exist. */
function partFolders(pictures: readonly PictureFile[]): { train: string; test: string } | undefined {
  const paths = pictures.map(({ path }) => path.split('/'));
  const folders = [...new Set(paths.filter(({ length }) => length > 2).map(([first]) => first!))];
  const train = folders.find((folder) => trainName.test(folder));
  const test = testNames
    .map((form) => folders.find((folder) => form.test(folder)))
    .find((folder) => folder !== undefined);
  return train !== undefined && test !== undefined ? { train, test } : undefined;
}

function labeled(pictures: readonly PictureFile[], part?: string): LabeledPicture[] {
  const prefix = part === undefined ? '' : `${part}/`;
  return pictures.flatMap((file) => {
    const [className, ...rest] = file.path.slice(prefix.length).split('/');
    return file.path.startsWith(prefix) && rest.length > 0 ? [{ ...file, className: className! }] : [];
  });
}

function requireClasses(
  pictures: readonly LabeledPicture[],
  least: number,
  name: string,
  leftOut: readonly string[],
): void {
  const names = [...new Set(pictures.map(({ className }) => className))];
  if (names.length >= least) return;
  const others = leftOut.length === 0 ? '' : `, and ignored ${listed(leftOut)}`;
  const got = names.length === 1 ? `1 (${listed(names)})` : 'none';
  throw unexpected(
    name,
    `a folder of PNG, JPEG or WebP pictures for each of at least ${plural(least, 'class', 'classes')}`,
    `${got}${others}`,
  );
}
