/** The list of files that an upload announces, and the ways in which it can be wrong. */
import { shownPath } from '@lockstep/files';
import { isPrintableLine } from '@lockstep/protocol';

export interface PlannedFile {
  /** Below the upload's folder, with slashes. */
  readonly path: string;
  readonly bytes: number;
}

export interface UploadLimits {
  /** Of all files together. */
  readonly bytes: number;
  readonly files: number;
}

export const defaultUploadLimits: UploadLimits = { bytes: 2 ** 30, files: 50_000 };

const maxPathLength = 1_000;
/** Most file systems hold no longer name. */
const maxNameBytes = 255;
const maxDepth = 16;

/** A request that an upload cannot go on with, as one sentence for the person who sent it. */
export class UploadError extends Error {
  override readonly name = 'UploadError';
  /** Of HTTP. */
  readonly status: 400 | 409 | 413;

  constructor(message: string, status: UploadError['status'] = 400) {
    super(message);
    this.status = status;
  }
}

/** A list that came as JSON, checked. @throws UploadError */
export function uploadPlanOf(json: string, limits: UploadLimits): readonly PlannedFile[] {
  const list = parsed(json);
  if (!Array.isArray(list) || list.length === 0 || !list.every(isPlannedFile)) {
    throw new UploadError('the files: expected a list of { path, bytes } that is not empty, got something else');
  }
  if (list.length > limits.files) {
    throw new UploadError(`the files: expected at most ${limits.files}, got ${list.length}`, 413);
  }
  const bytes = list.reduce((sum, file) => sum + file.bytes, 0);
  if (bytes > limits.bytes) {
    throw new UploadError(`the files: expected at most ${limits.bytes} bytes in all, got ${bytes}`, 413);
  }
  for (const { path } of list) requireRelative(path);
  requireDistinct(list);
  return list;
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

function isPlannedFile(value: unknown): value is PlannedFile {
  if (typeof value !== 'object' || value === null) return false;
  const { path, bytes } = value as Partial<Record<string, unknown>>;
  return typeof path === 'string' && typeof bytes === 'number' && Number.isSafeInteger(bytes) && bytes >= 0;
}

function requireRelative(path: string): void {
  const parts = path.split('/');
  const isName = (part: string): boolean => part !== '' && part !== '.' && part !== '..' && fitsName(part);
  const isPlain = isPrintableLine(path, maxPathLength) && !/\\|^[a-z]:/i.test(path);
  if (isPlain && parts.length <= maxDepth && parts.every(isName)) return;
  throw new UploadError(`${shownPath(path)}: expected a path below a folder, like cats/1.png, got another one`);
}

/** A character takes at most three bytes for each of its code units. */
function fitsName(name: string): boolean {
  return name.length <= maxNameBytes / 3 || Buffer.byteLength(name) <= maxNameBytes;
}

/** Also where the file system takes capitals and small letters for the same. */
function requireDistinct(files: readonly PlannedFile[]): void {
  const folders = new Set<string>();
  const taken = new Set<string>();
  for (const { path } of files) {
    const key = path.toLowerCase();
    if (taken.has(key)) throw new UploadError(`${shownPath(path)}: expected each file once, got it twice`);
    taken.add(key);
    for (let at = key.lastIndexOf('/'); at > 0; at = key.lastIndexOf('/', at - 1)) {
      const folder = key.slice(0, at);
      // The folders around it are known as well.
      if (folders.has(folder)) break;
      folders.add(folder);
    }
  }
  const both = files.find(({ path }) => folders.has(path.toLowerCase()));
  if (both) throw new UploadError(`${shownPath(both.path)}: expected a file or a folder, got both`);
}
