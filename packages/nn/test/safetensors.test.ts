import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  initialize,
  parameterLayout,
  readModelFile,
  readSafetensors,
  resolveModel,
  writeModelFile,
  writeSafetensors,
} from '../src/index.ts';
import { goldens } from './goldens.ts';

const model = resolveModel(
  '{"name":"tiny","input":[3],"layers":[{"type":"dense","units":2},{"type":"relu"},{"type":"dense","units":2}]}',
);
const floatBits = (values: Float32Array) => [...new Uint32Array(values.slice().buffer)];

/** Returns a file with any header and `dataBytes` zero bytes of data. */
function file(header: unknown, dataBytes: number): Uint8Array {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}
const entry = (begin: number, end: number, shape = [(end - begin) / 4], dtype = 'F32') => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

describe('safetensors', () => {
  test('the bytes are those of the format', () => {
    const bytes = writeSafetensors({
      tensors: [{ name: 'a', shape: [1, 2], values: new Float32Array([1, -2]) }],
      metadata: { k: 'v' },
    });
    const header = '{"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}';
    const padded = header.padEnd(88, ' ');
    const expected = Buffer.concat([
      Buffer.from([88, 0, 0, 0, 0, 0, 0, 0]),
      Buffer.from(padded),
      Buffer.from([0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]),
    ]);
    expect(Buffer.from(bytes).equals(expected)).toBe(true);
  });

  test('tensors are read back as they were written, bit for bit, at any alignment', () => {
    const tensor = fc
      .tuple(fc.string({ minLength: 1, unit: 'grapheme' }), fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 3 }))
      .chain(([name, shape]) => {
        const length = shape.reduce((product, size) => product * size, 1);
        return fc.record({
          name: fc.constant(name),
          shape: fc.constant(shape),
          values: fc.float32Array({ minLength: length, maxLength: length }),
        });
      });
    fc.assert(
      fc.property(
        fc.uniqueArray(tensor, { selector: ({ name }) => name, maxLength: 4 }),
        fc.dictionary(fc.string(), fc.string(), { maxKeys: 3 }),
        fc.nat(7),
        (tensors, metadata, shift) => {
          fc.pre(tensors.every(({ name }) => name !== '__metadata__'));
          const bytes = writeSafetensors({ tensors, metadata });
          expect(new DataView(bytes.buffer).getUint32(0, true) % 8).toBe(0);
          const shifted = new Uint8Array(bytes.length + shift);
          shifted.set(bytes, shift);
          const back = readSafetensors(shifted.subarray(shift));
          expect(back.metadata).toEqual({ ...metadata });
          const plain = (list: typeof tensors) =>
            list.map(({ name, shape, values }) => ({ name, shape, bits: floatBits(values) }));
          expect(plain([...back.tensors] as typeof tensors)).toEqual(expect.arrayContaining(plain(tensors)));
          expect(back.tensors.length).toBe(tensors.length);
        },
      ),
      { numRuns: 200, seed: 1 },
    );
  });

  test('every shorter file is refused with a sentence', () => {
    const bytes = writeModelFile(model, initialize(model, 1));
    for (let length = 0; length < bytes.length; length++) {
      expect(() => readSafetensors(bytes.subarray(0, length)), `${length} bytes`).toThrow(
        /^safetensors: |^expected a safetensors file, got /,
      );
    }
    const longer = new Uint8Array(bytes.length + 1);
    longer.set(bytes);
    expect(() => readSafetensors(longer)).toThrow(/^safetensors: expected \d+ bytes of data, got \d+$/);
  });

  test('random bytes are read or refused in a sentence', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.boolean(), (bytes, asHeader) => {
        const input = asHeader ? file(new TextDecoder().decode(bytes), 4) : bytes;
        try {
          readSafetensors(input);
        } catch (error) {
          expect((error as Error).message).toMatch(/^safetensors: |^expected a safetensors file, got /);
        }
      }),
      { numRuns: 500, seed: 1 },
    );
  });

  const huge = new Uint8Array(16).fill(0xff);
  huge[8] = 0x7b;
  const ofBytes = (...bytes: number[]): Uint8Array => Uint8Array.from({ length: 32 }, (_, at) => bytes[at] ?? 0xff);
  const ofText = (text: string): Uint8Array => new TextEncoder().encode(text);
  const otherFile = 'expected a safetensors file, got ';
  test.each<[string, Uint8Array, string]>([
    ['a header of 2^64 bytes', huge, 'safetensors: the header claims 18446744073709551615 bytes, expected at most 8'],
    ['nothing', ofText(''), `${otherFile}an empty file`],
    ['a word', ofText('a,b\n'), `${otherFile}a text that begins with "a,b\\n"`],
    [
      'a CSV file',
      ofText('sepal_length,sepal_width,species\n5.1,3.5,setosa\n'),
      `${otherFile}a text that begins with "sepal_length,sepal_width"`,
    ],
    [
      'a text that steers the terminal',
      ofText('\u202eabcdefghij'),
      `${otherFile}a text that begins with "\\u202eabcdefghij"`,
    ],
    ['a picture', ofBytes(0x89, 0x50, 0x4e, 0x47), `${otherFile}a PNG picture`],
    ['what PyTorch saves', ofBytes(0x50, 0x4b, 3, 4), `${otherFile}a ZIP archive, such as an .xlsx or a .pt`],
    ['an HDF5 file', ofBytes(0x89, 0x48, 0x44, 0x46), `${otherFile}an HDF5 file, such as a model of Keras`],
    ['other bytes', ofBytes(1, 2), `${otherFile}a file that begins with the bytes 01 02 ff ff ff ff ff ff`],
    ['no JSON', file('{"a":', 0), 'safetensors: expected a JSON header, got bytes that cannot be read as JSON'],
    ['a list', file([], 0), 'safetensors: expected the header to be a JSON object'],
    ['another type', file({ a: entry(0, 4, [1], 'F16') }, 4), 'safetensors: a: expected dtype F32, got F16'],
    ['a wrong size', file({ a: entry(0, 4, [2]) }, 4), 'safetensors: a: expected 8 bytes for shape [2], got 4'],
    ['a gap', file({ a: entry(4, 8) }, 8), 'safetensors: a: expected its data at byte 0, got 4'],
    ['an overlap', file({ a: entry(0, 8), b: entry(4, 8) }, 8), 'safetensors: b: expected its data at byte 8, got 4'],
    ['missing data', file({ a: entry(0, 8) }, 4), 'safetensors: expected 8 bytes of data, got 4'],
    ['a negative offset', file({ a: entry(-4, 0) }, 4), 'safetensors: a: data_offsets[0]: expected 0 or more, got -4'],
    [
      'no offsets',
      file({ a: { dtype: 'F32', shape: [] } }, 0),
      'safetensors: a: data_offsets: expected a value, got none',
    ],
    ['numbers as metadata', file({ __metadata__: { a: 1 } }, 0), 'safetensors: metadata: a: expected a string, got 1'],
  ])('%s', (_, bytes, message) => {
    expect(() => readSafetensors(bytes)).toThrow(new Error(message));
  });

  test('refuses to write a name twice or a shape that does not fit', () => {
    const one = { name: 'a', shape: [1], values: new Float32Array(1) };
    expect(() => writeSafetensors({ tensors: [one, one], metadata: {} })).toThrow('the name a is already taken');
    expect(() => writeSafetensors({ tensors: [{ ...one, shape: [2] }], metadata: {} })).toThrow(
      'safetensors: a has shape [2], expected 2 values, got 1',
    );
  });
});

describe('model files', () => {
  test('hold PyTorch names and layouts, and the model itself', () => {
    const parameters = initialize(model, 5);
    const { tensors, metadata } = readSafetensors(writeModelFile(model, parameters, { steps: '20' }));
    expect(tensors.map(({ name, shape }) => [name, shape])).toEqual([
      ['0.weight', [2, 3]],
      ['0.bias', [2]],
      ['2.weight', [2, 2]],
      ['2.bias', [2]],
    ]);
    const weight = parameters.subarray(0, parameterLayout(model)[0]!.size);
    expect([...tensors[0]!.values]).toEqual([0, 2, 4, 1, 3, 5].map((index) => weight[index]!));
    expect(metadata).toEqual({ format: 'pt', model: JSON.stringify(model), steps: '20' });
  });

  test('of PyTorch are read', () => {
    const bytes = readFileSync(new URL('../goldens/tiny.safetensors', import.meta.url));
    expect(floatBits(readModelFile(model, bytes))).toEqual(floatBits(initialize(model, goldens.seed)));
  });

  test('refuse tensors that are not those of the model', () => {
    const bytes = writeModelFile(model, initialize(model, 5));
    const other = (units: number) => ({ ...model, layers: [{ type: 'dense', units }] }) as const;
    expect(() => readModelFile(other(2), bytes)).toThrow('the file holds 2.weight, which the model does not have');
    const single = writeModelFile(other(2), initialize(other(2), 5));
    expect(() => readModelFile(model, single)).toThrow('model tiny: the file lacks 2.weight');
    expect(() => readModelFile(other(4), single)).toThrow('model tiny: 0.weight: expected [4, 3], got [2, 3]');
    expect(() => writeModelFile(model, new Float32Array(3))).toThrow('model tiny: expected 14 parameters, got 3');
  });
});
