/** Finds the pictures of a folder, their classes, and whether they are for training or testing. */
import { DataError } from '../data-error.ts';
import { plural } from '../readers/opened-dataset.ts';
import { listed } from '../readers/table.ts';

/** A file that may be a picture, read on demand. */
export interface PictureFile {
  /** Path relative to the opened folder, with slashes. */
  readonly path: string;
  readonly read: () => Promise<Uint8Array>;
}

export interface LabeledPicture extends PictureFile {
  readonly className: string;
}

export interface PictureTree {
  readonly train: readonly LabeledPicture[];
  /** Undefined unless the folder has one for training and one for testing. */
  readonly test: readonly LabeledPicture[] | undefined;
  /** Paths of files that are not pictures, or not in a class. */
  readonly leftOut: readonly string[];
}

const pictureName = /\.(?:png|jpe?g|webp)$/i;
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
 * @throws DataError if there are fewer classes
 */
export function pictureTree(files: readonly PictureFile[], name: string, leastClasses = 2): PictureTree {
  const seen = files
    .filter(({ path }) => !path.split('/').some((part) => systemName.test(part)))
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
  const beside = leftOut.length === 0 ? '' : ` beside ${listed(leftOut)}`;
  const got = names.length === 1 ? `1 (${listed(names)})` : 'none';
  throw new DataError(
    `${name}: expected a folder of PNG, JPEG or WebP pictures for each of at least ${plural(least, 'class', 'classes')}, got ${got}${beside}`,
  );
}
