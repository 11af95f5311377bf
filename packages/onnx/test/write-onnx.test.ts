/** An ONNX file has the structure of its format, and gives the model's scores in another program. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createPrediction,
  initialize,
  inputSize,
  layers,
  type Model,
  parameterCount,
  resolveModel,
} from '@lockstep/nn';
import { openBackend, randomStream, sizeOf } from '@lockstep/tensor';
import { PbfReader } from 'pbf';
import { afterAll, describe, expect, test } from 'vitest';
import { writeOnnx } from '../src/index.ts';
import { models } from './models.ts';

/** Reads every field of a message by its number, undecoded: numbers or bytes. */
function fieldsOf(bytes: Uint8Array): Map<number, (number | Uint8Array)[]> {
  const reader = new PbfReader(bytes);
  const fields = new Map<number, (number | Uint8Array)[]>();
  for (let tag = reader.nextField(); tag > 0; tag = reader.nextField()) {
    const value =
      reader.type === 2 ? reader.readBytes() : reader.type === 5 ? reader.readFloat() : reader.readVarint(true);
    fields.set(tag, [...(fields.get(tag) ?? []), value]);
  }
  return fields;
}

const text = (value: number | Uint8Array | undefined): string => new TextDecoder().decode(value as Uint8Array);
const messages = (fields: ReturnType<typeof fieldsOf>, tag: number) =>
  (fields.get(tag) ?? []).map((bytes) => fieldsOf(bytes as Uint8Array));

/** Reads the sizes of a ValueInfoProto, with the name in place of the number of samples. */
function sizesOf(port: ReturnType<typeof fieldsOf>): (number | string)[] {
  const [type] = messages(port, 2);
  const [tensor] = messages(type!, 1);
  expect(tensor!.get(1)).toEqual([1]);
  const [shape] = messages(tensor!, 2);
  return messages(shape!, 1).map((size) => (size.has(2) ? text(size.get(2)![0]) : (size.get(1)![0] as number)));
}

describe('the file', () => {
  const model = resolveModel('cnn');
  const classes = JSON.stringify([...'0123456789']);
  const file = fieldsOf(writeOnnx(model, initialize(model, 1), { lockstep: '0.1.0', classes }));
  const [graph] = messages(file, 7);

  test('names its version, its opset and who wrote it', () => {
    expect(file.get(1)).toEqual([8]);
    expect([file.get(2)![0], file.get(3)![0]].map(text)).toEqual(['lockstep', '0.1.0']);
    expect(messages(file, 8).map((opset) => opset.get(2))).toEqual([[17]]);
    const metadata = messages(file, 14).map((entry) => [text(entry.get(1)![0]), text(entry.get(2)![0])]);
    expect(Object.fromEntries(metadata)).toEqual({ model: JSON.stringify(model), lockstep: '0.1.0', classes });
  });

  test('gives standardized values in the unit of those that were learned', () => {
    const values = resolveModel('mlp', { sampleShape: [4], outputs: 1 });
    const said = { values: '["price"]', scaling: '{"type":"none"}' };
    const standardization = JSON.stringify({ mean: 250_000, deviation: 80_000 });
    const operators = (metadata: Record<string, string>) => {
      const [written] = messages(fieldsOf(writeOnnx(values, initialize(values, 1), metadata)), 7);
      return messages(written!, 1).map((node) => [text(node.get(4)![0]), node.get(1)!.slice(1).map(text).join()]);
    };
    const plain = operators(said);
    const restored = operators({ ...said, standardization });
    expect(restored).toEqual([
      ...plain.slice(0, -1),
      ['Mul', 'constant.80000'],
      ['Add', 'constant.250000'],
      ...plain.slice(-1),
    ]);
  });

  test('takes images and gives logits', () => {
    const [input] = messages(graph!, 11);
    const [output] = messages(graph!, 12);
    expect([input, output].map((port) => text(port!.get(1)![0]))).toEqual(['images', 'logits']);
    expect(sizesOf(input!)).toEqual(['N', 1, 28, 28]);
    expect(sizesOf(output!)).toEqual(['N', 10]);
  });

  test('takes floats as they are, and gives values, where the model learned such', () => {
    const table = resolveModel('mlp', { sampleShape: [4], outputs: 2 });
    const metadata = { values: '["width","height"]', scaling: '{"type":"none"}' };
    const [own] = messages(fieldsOf(writeOnnx(table, initialize(table, 1), metadata)), 7);
    const [[input], [output]] = [messages(own!, 11), messages(own!, 12)];
    expect([input, output].map((port) => text(port!.get(1)![0]))).toEqual(['samples', 'values']);
    expect([sizesOf(input!), sizesOf(output!)]).toEqual([
      ['N', 4],
      ['N', 2],
    ]);
    expect([input, output].map((port) => text(port!.get(3)![0]))).toEqual([
      'samples, one after another; values as in training',
      'width, height',
    ]);
  });

  test('has a node for each layer, whose inputs come before it', () => {
    const nodes = messages(graph!, 1);
    const types = nodes.map((node) => text(node.get(4)![0]));
    const block = ['Conv', 'Relu', 'MaxPool'];
    expect(types).toEqual([...block, ...block, 'Flatten', 'Gemm', 'Identity']);
    const known = new Set(['images', ...messages(graph!, 5).map((tensor) => text(tensor.get(8)![0]))]);
    for (const node of nodes) {
      for (const input of node.get(1)!) expect(known).toContain(text(input));
      known.add(text(node.get(2)![0]));
    }
    expect(known).toContain('logits');
  });

  test('has the weights as raw float32', () => {
    const tensors = messages(graph!, 5);
    expect(tensors.map((tensor) => [text(tensor.get(8)![0]), tensor.get(1), tensor.get(2)])).toEqual([
      ['0.weight', [8, 1, 5, 5], [1]],
      ['0.bias', [8], [1]],
      ['3.weight', [16, 8, 5, 5], [1]],
      ['3.bias', [16], [1]],
      ['7.weight', [10, 784], [1]],
      ['7.bias', [10], [1]],
    ]);
    const bytes = tensors.reduce((sum, tensor) => sum + (tensor.get(9)![0] as Uint8Array).length, 0);
    expect(bytes).toBe(4 * parameterCount(model));
  });
});

test('the models that are compared have every kind of layer', () => {
  const types = new Set(models.flatMap((model) => model.layers.map(({ type }) => type)));
  expect([...types].sort()).toEqual(Object.keys(layers).sort());
});

const python = (...args: string[]) => spawnSync('python3', args, { encoding: 'utf8', maxBuffer: 2 ** 26 });
const hasRuntime = python('-c', 'import onnxruntime, numpy').status === 0;
const folder = mkdtempSync(join(tmpdir(), 'lockstep-onnx-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Prints as JSON the logits of the samples in a float32 file. */
const script = `
import json, sys
import numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
(port,) = session.get_inputs()
samples = numpy.fromfile(sys.argv[2], dtype="<f4").reshape([-1] + port.shape[1:])
(logits,) = session.run(["logits"], {"images": samples})
print(json.dumps([float(value) for value in logits.ravel()]))
`;

/** Converts bytes in the model's order to the file's input: from 0 to 1, images channel by channel. */
function asInput({ input }: Model, bytes: Uint8Array): Float32Array {
  const [height, width, channels] = input.length === 3 ? (input as [number, number, number]) : [sizeOf(input), 1, 1];
  const area = height * width;
  return Float32Array.from(bytes, (_, index) => {
    const [sample, rest] = [Math.floor(index / (area * channels)), index % (area * channels)];
    const [channel, pixel] = [Math.floor(rest / area), rest % area];
    return bytes[sample * area * channels + pixel * channels + channel]! / 255;
  });
}

describe.skipIf(!hasRuntime)(`onnxruntime${hasRuntime ? '' : ' (skipped: python3 has no package onnxruntime)'}`, () => {
  test.each(models)('gives the logits of $name within 1e-5', async (model) => {
    const count = 33;
    const random = randomStream(7);
    const bytes = Uint8Array.from({ length: count * inputSize(model) }, () => random() * 256);
    const weights = initialize(model, 3);
    const { backend } = await openBackend('cpu');
    const parameters = backend.allocate(weights.length);
    backend.upload(parameters, weights);
    const plan = createPrediction(backend, model, count, parameters);
    plan.run(bytes);
    const ours = [...(await backend.download(plan.output))];
    const [file, samples] = [join(folder, `${model.name}.onnx`), join(folder, `${model.name}.f32`)];
    writeFileSync(file, writeOnnx(model, weights, {}));
    writeFileSync(samples, new Uint8Array(asInput(model, bytes).buffer));
    const { stdout, stderr, status } = python('-c', script, file, samples);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const theirs: number[] = JSON.parse(stdout);
    expect(theirs).toHaveLength(ours.length);
    const largest = Math.max(...ours.map((score, index) => Math.abs(score - theirs[index]!)));
    expect(largest).toBeLessThan(1e-5);
  });
});
