/** Writes small Parquet files, including files that claim more than they contain. */
import { gzipSync } from 'node:zlib';

/** A field of a Thrift struct in the compact protocol: its number and its value. */
type Field = readonly [id: number, value: Value];
type Value =
  | { readonly i32: number }
  | { readonly i64: number }
  | { readonly text: string }
  | { readonly struct: readonly Field[] }
  | { readonly list: readonly Value[] };

const types = { i32: 5, i64: 6, text: 8, list: 9, struct: 12 } as const;
const typeOf = (value: Value): number => types[Object.keys(value)[0] as keyof typeof types];

function varint(value: bigint): number[] {
  return value < 128n ? [Number(value)] : [Number(value & 127n) | 128, ...varint(value >> 7n)];
}

const zigzag = (value: number): number[] => varint(value < 0 ? -2n * BigInt(value) - 1n : 2n * BigInt(value));

function encoded(value: Value): number[] {
  if ('i32' in value) return zigzag(value.i32);
  if ('i64' in value) return zigzag(value.i64);
  if ('text' in value) {
    const bytes = new TextEncoder().encode(value.text);
    return [...varint(BigInt(bytes.length)), ...bytes];
  }
  if ('struct' in value) return struct(value.struct);
  const { list } = value;
  const type = typeOf(list[0]!);
  const head = list.length < 15 ? [(list.length << 4) | type] : [0xf0 | type, ...varint(BigInt(list.length))];
  return list.reduce<number[]>((bytes, one) => bytes.concat(encoded(one)), head);
}

function struct(fields: readonly Field[]): number[] {
  let last = 0;
  const bytes = fields.flatMap(([id, value]) => {
    const head = ((id - last) << 4) | typeOf(value);
    last = id;
    return [head, ...encoded(value)];
  });
  return [...bytes, 0];
}

const i32 = (value: number): Value => ({ i32: value });
const i64 = (value: number): Value => ({ i64: value });
const dataPage = 0;
const dictionaryPage = 2;
const plain = 0;
const runLength = 3;
const dictionary = 8;
const double = 5;
const byteArray = 6;
const utf8 = 0;
const uncompressed = 0;
const gzip = 2;

/** A column of doubles, or one number or text for all rows, which then takes a few bytes. */
export interface WrittenColumn {
  readonly name: string;
  readonly values: readonly number[] | { readonly equal: number | string };
  /** Number of values that the data page claims; by default the number of rows. */
  readonly claimedValues?: number;
  /** Bytes that the data page claims to unpack to; by default its actual size. */
  readonly claimedBytes?: number;
}

/** Writes a file of one row group. @param claimedRows number of rows that the metadata claims, by default `rows` */
export function parquetFile(columns: readonly WrittenColumn[], rows: number, claimedRows = rows): Uint8Array {
  const file: number[] = [...Buffer.from('PAR1')];
  const chunks = columns.map((column) => {
    const start = file.length;
    const pages = pagesOf(column, rows);
    for (const page of pages) for (const byte of page) file.push(byte);
    const about: Field[] = [
      [1, i32(hasText(column) ? byteArray : double)],
      [2, { list: [i32(plain)] }],
      [3, { list: [{ text: column.name }] }],
      [4, i32(hasText(column) ? gzip : uncompressed)],
      [5, i64(rows)],
      [6, i64(file.length - start)],
      [7, i64(file.length - start)],
      [9, i64(start + (pages.length > 1 ? pages[0]!.length : 0))],
      ...(pages.length > 1 ? ([[11, i64(start)]] as const) : []),
    ];
    return { struct: [[2, i64(start)] as const, [3, { struct: about }] as const] };
  });
  const root: Value = {
    struct: [
      [4, { text: 'schema' }],
      [5, i32(columns.length)],
    ],
  };
  const schema = columns.map(
    (column): Value => ({
      struct: [
        [1, i32(hasText(column) ? byteArray : double)],
        [3, i32(0)],
        [4, { text: column.name }],
        ...(hasText(column) ? ([[6, i32(utf8)]] as const) : []),
      ],
    }),
  );
  const group: Field[] = [
    [1, { list: chunks }],
    [2, i64(file.length)],
    [3, i64(claimedRows)],
  ];
  const metadata = struct([
    [1, i32(1)],
    [2, { list: [root, ...schema] }],
    [3, i64(claimedRows)],
    [4, { list: [{ struct: group }] }],
  ]);
  const length = new Uint8Array(Uint32Array.of(metadata.length).buffer);
  return Uint8Array.from([...file, ...metadata, ...length, ...Buffer.from('PAR1')]);
}

function hasText({ values }: WrittenColumn): boolean {
  return 'equal' in values && typeof values.equal === 'string';
}

function pagesOf(column: WrittenColumn, rows: number): Uint8Array[] {
  const { values, claimedValues, claimedBytes } = column;
  const packed = (bytes: Uint8Array): Uint8Array => (hasText(column) ? gzipSync(bytes) : bytes);
  const page = (type: number, about: Field, bytes: Uint8Array, claimed = bytes.length): Uint8Array => {
    const content = packed(bytes);
    const header = struct([[1, i32(type)], [2, i32(claimed)], [3, i32(content.length)], about]);
    return Buffer.concat([Uint8Array.from(header), content]);
  };
  const dataOf = (bytes: Uint8Array, encoding: number): Uint8Array => {
    const about: Field[] = [
      [1, i32(claimedValues ?? rows)],
      [2, i32(encoding)],
      [3, i32(runLength)],
      [4, i32(runLength)],
    ];
    return page(dataPage, [5, { struct: about }], bytes, claimedBytes);
  };
  if (!('equal' in values)) return [dataOf(new Uint8Array(Float64Array.from(values).buffer), plain)];
  const entries: Field[] = [
    [1, i32(1)],
    [2, i32(plain)],
  ];
  // The index into a dictionary of one takes no bits; the last byte is padding.
  return [
    page(dictionaryPage, [7, { struct: entries }], entryOf(values.equal)),
    dataOf(Uint8Array.of(0, 0), dictionary),
  ];
}

/** Encodes a value as in a dictionary page. */
function entryOf(value: number | string): Uint8Array {
  if (typeof value === 'number') return new Uint8Array(Float64Array.of(value).buffer);
  const text = Buffer.from(value);
  return Buffer.concat([new Uint8Array(Uint32Array.of(text.length).buffer), text]);
}
