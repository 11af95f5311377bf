/** Makes untrusted text and files safe to show in one line of a message; runs anywhere. */

/** Characters that control a terminal or page: control characters, line separators, bidi overrides, lone surrogates. */
const steering = String.raw`\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff`;
const steeringCharacter = new RegExp(`[${steering}]`, 'gu');

/** Text that is safe to show unchanged in a terminal or a page. */
export const printable = new RegExp(`^[^${steering}]+$`, 'u');

/** Runs of whitespace and of characters that a line must not contain. */
const unprintableRun = new RegExp(`[\\s${steering}]+`, 'gu');

/** Text on one line, in which whitespace and characters that are not printable have become single spaces. */
export function printableText(text: string): string {
  return text.replace(unprintableRun, ' ').trim();
}

const maxLineLength = 1_000;
const shortEscapes: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** Converts text to one line: escapes control characters as in JSON, and cuts the middle of a long line. Idempotent. */
export function shownLine(text: string, maxLength: number = maxLineLength): string {
  // The two ends of a long text suffice, however long it is.
  const ends = text.length <= 2 * maxLength ? text : `${text.slice(0, maxLength)}${text.slice(-maxLength)}`;
  const line = ends.replace(steeringCharacter, escaped);
  if (line.length <= maxLength) return line;
  const half = Math.floor((maxLength - 1) / 2);
  // The cut may leave half a surrogate pair.
  return `${line.slice(0, half)}…${line.slice(-half)}`.replaceAll(/\p{Cs}/gu, '');
}

function escaped(character: string): string {
  return shortEscapes[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

const asPictures = 'give the folder with a folder of pictures for each class';

/** Magic bytes at the start of files, the kinds they indicate, and how data of such a kind can be read instead. */
const kinds: readonly (readonly [magic: readonly number[], kind: string, advice?: string])[] = [
  [[0x50, 0x4b, 0x03, 0x04], 'a ZIP archive, such as an .xlsx or a .pt', 'unpack it, or save it as CSV'],
  [[0xd0, 0xcf, 0x11, 0xe0], 'an old Office file, such as an .xls', 'save it as CSV'],
  [[0x89, 0x50, 0x4e, 0x47], 'a PNG picture', asPictures],
  [[0xff, 0xd8, 0xff], 'a JPEG picture', asPictures],
  [[0x52, 0x49, 0x46, 0x46], 'a RIFF file, such as a WebP picture', asPictures],
  [[0x50, 0x41, 0x52, 0x31], 'a Parquet file'],
  [[0x1f, 0x8b], 'a gzip file'],
  [[0x00, 0x00, 0x08], 'an IDX file', 'give the folder with the four of them'],
  [[0x89, 0x48, 0x44, 0x46], 'an HDF5 file, such as a model of Keras'],
  [[0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59], 'a NumPy array'],
  [[0x25, 0x50, 0x44, 0x46], 'a PDF', 'save it as text or CSV'],
  [[0x80, 0x02], 'a Python pickle'],
  [[0x7f, 0x45, 0x4c, 0x46], 'a program'],
];
const headBytes = 24;

function kindOf(bytes: Uint8Array) {
  return kinds.find(([magic]) => magic.every((byte, index) => bytes[index] === byte));
}

/** How data of a file that is no table can be read; undefined if its first bytes are those of no such kind. */
export function adviceFor(bytes: Uint8Array): string | undefined {
  return kindOf(bytes)?.[2];
}

/** Names the kind of a file by its first bytes, in words that follow "got". */
export function fileKind(bytes: Uint8Array): string {
  if (bytes.length === 0) return 'an empty file';
  const known = kindOf(bytes);
  if (known) return known[1];
  const head = bytes.subarray(0, headBytes);
  const text = new TextDecoder().decode(head, { stream: true });
  // Line breaks and tabs are the only control characters in ordinary text.
  if (/^[^\p{Cc}\ufffd]+$/u.test(text.replaceAll(/[\n\r\t]/g, ' '))) {
    return `a text that begins with ${shownLine(JSON.stringify(text))}`;
  }
  const hex = Array.from(head.subarray(0, 8), (byte) => byte.toString(16).padStart(2, '0'));
  return `a file that begins with the bytes ${hex.join(' ')}`;
}

/** Returns the message of anything thrown: `catch` does not promise an Error. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Describes a value of any type, in words that follow "got": short, and never throws. */
export function shownValue(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'function') return 'a function';
  if (ArrayBuffer.isView(value)) {
    const { name } = value.constructor;
    return `${/^[AEIO]/.test(name) ? 'an' : 'a'} ${name}`;
  }
  if (typeof value === 'object' && value !== null) return 'an object';
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length <= 40 ? text : `${text.slice(0, 40)}…`;
}

/** Formats a fraction: 0.9876 -> "98.76 %". */
export function percent(fraction: number, digits = 2): string {
  return `${(100 * fraction).toFixed(digits)} %`;
}

/** Four decimals, or four significant digits if the number is too large or too small for them. */
export function decimals(value: number): string {
  const size = Math.abs(value);
  return size !== 0 && (size >= 1e4 || size < 1e-3) ? significant(value) : value.toFixed(4);
}

/** "12 s", "3 min 05 s", "2 h 10 min", "4 d 07 h". @param digits decimals of a duration under a minute */
export function durationText(seconds: number, digits = 0): string {
  const rounded = Math.max(0, Math.round(seconds));
  if (rounded < 60) return `${Math.max(0, seconds).toFixed(digits)} s`;
  const minutes = Math.floor(rounded / 60);
  if (minutes < 60) return `${minutes} min ${String(rounded % 60).padStart(2, '0')} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${String(minutes % 60).padStart(2, '0')} min`;
  return `${Math.floor(hours / 24)} d ${String(hours % 24).padStart(2, '0')} h`;
}

/** Formats to four significant digits by default: 0.123456 -> "0.1235". Huge and tiny numbers get an exponent. */
export function significant(value: number, digits = 4): string {
  const rounded = Number(value.toPrecision(digits));
  const size = Math.abs(value);
  return size !== 0 && (size >= 1e9 || size < 1e-4) ? rounded.toExponential() : `${rounded}`;
}

/** Formats a measured value to four significant digits, with trailing zeros: 65 -> "65.00", 65432 -> "65,430". */
export function measured(value: number, digits = 4): string {
  const short = significant(value, digits);
  const rounded = Number(short);
  if (short.includes('e') || !Number.isFinite(value)) return short;
  const integerDigits = rounded === 0 ? 1 : Math.floor(Math.log10(Math.abs(rounded))) + 1;
  return integerDigits < digits ? rounded.toFixed(digits - integerDigits) : thousands(rounded);
}

/** Formats a size to three significant digits in decimal units: "40 bytes", "8.06 MB". */
export function bytesText(bytes: number): string {
  const units = ['bytes', 'KB', 'MB', 'GB'];
  let [value, unit] = [bytes, 0];
  while (value >= 1000 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${unit === 0 ? Math.round(value) : measured(value, 3)} ${units[unit]}`;
}

/** Formats a count, such as `60,000`; a fraction is rounded. An engine's own formatter takes 10 ms to load. */
export function thousands(count: number): string {
  return String(Math.round(count)).replace(/\B(?=(?:\d{3})+$)/g, ',');
}

/** "1 worker", "2 workers". */
export function plural(count: number, thing: string, things = `${thing}s`): string {
  return `${thousands(count)} ${count === 1 ? thing : things}`;
}
