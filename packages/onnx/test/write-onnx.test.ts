/** An ONNX file has the structure of its format, and gives the model's scores in another program. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import {
  createPrediction,
  embeddingOf,
  everyLayer,
  initialize,
  inputSize,
  layers,
  type Model,
  parameterCount,
  resolveModel,
  sameLayout,
  type Tape,
} from '@lockstep/nn';
import * as ops from '@lockstep/tensor';
import { type OpCall, openBackend, randomStream, type Shape, sizeOf, type Tensor } from '@lockstep/tensor';
import { PbfReader } from 'pbf';
import { describe, expect, test } from 'vitest';
import { folderOf } from '../../data/test/temporary-folder.ts';
import { encodeModel, OnnxGraph } from '../src/graph.ts';
import { writeOnnx, writeOps } from '../src/write-onnx.ts';
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
function sizesOf(port: ReturnType<typeof fieldsOf>, dtype = 1): (number | string)[] {
  const [type] = messages(port, 2);
  const [tensor] = messages(type!, 1);
  expect(tensor!.get(1)).toEqual([dtype]);
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

  test('takes tokens, and gives scores of the next one at each position', () => {
    const model = resolveModel('gpt-nano');
    const [own] = messages(fieldsOf(writeOnnx(model, initialize(model, 1), {})), 7);
    const [[input], [output]] = [messages(own!, 11), messages(own!, 12)];
    expect([input, output].map((port) => text(port!.get(1)![0]))).toEqual(['input_ids', 'logits']);
    expect(sizesOf(input!, 7)).toEqual(['N', 16]);
    expect(sizesOf(output!)).toEqual(['N', 16, 27]);
  });

  test('takes floats as they are, and gives values if the model learned values', () => {
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
  const types = new Set(models.flatMap((model) => everyLayer(model).map(({ layer }) => layer.type)));
  for (const model of models) expect(writeOnnx(model, initialize(model, 1), {}).length).toBeGreaterThan(0);
  expect([...types].sort()).toEqual(Object.keys(layers).sort());
});

const python = (...args: string[]) => spawnSync('python3', args, { encoding: 'utf8', maxBuffer: 2 ** 26 });
const hasRuntime = python('-c', 'import onnxruntime, numpy').status === 0;

/** Prints as JSON the logits of the samples in a file, which has the input's dtype. */
const script = `
import json, sys
import numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
(port,) = session.get_inputs()
dtype = {"tensor(float)": "<f4", "tensor(int64)": "<i8"}[port.type]
samples = numpy.fromfile(sys.argv[2], dtype=dtype).reshape([-1] + port.shape[1:])
(logits,) = session.run(["logits"], {port.name: samples})
print(json.dumps([float(value) for value in logits.ravel()]))
`;

/** Converts bytes in the model's order to the file's input: tokens, or from 0 to 1, images channel by channel. */
function asInput(model: Model, bytes: Uint8Array): Float32Array | BigInt64Array {
  if (embeddingOf(model)) return BigInt64Array.from(bytes, BigInt);
  const { input } = model;
  const [height, width, channels] = input.length === 3 ? (input as [number, number, number]) : [sizeOf(input), 1, 1];
  const area = height * width;
  return Float32Array.from(bytes, (_, index) => {
    const [sample, rest] = [Math.floor(index / (area * channels)), index % (area * channels)];
    const [channel, pixel] = [Math.floor(rest / area), rest % area];
    return bytes[sample * area * channels + pixel * channels + channel]! / 255;
  });
}

const causalMask = Float32Array.from({ length: 16 }, (_, at) => (at % 4 > at / 4 ? -1e9 : 0));

/** Ops that the models above do not have, as functions of [3, 4, 5]. */
const functions: Readonly<Record<string, (x: Tensor) => Tensor>> = {
  arithmetic: (x) => ops.sub(ops.div(ops.mul(x, 3), ops.add(ops.abs(x), 1)), ops.neg(x)),
  powers: (x) => ops.pow(ops.sqrt(ops.exp(ops.log(ops.add(ops.abs(x), 0.5)))), 1.5),
  extremes: (x) => ops.maximum(ops.minimum(x, 0.5), -0.25),
  'approximate gelu': (x) => ops.gelu(x, { approximate: 'tanh' }),
  reductions: (x) => {
    const [largest, least] = [ops.max(x, { axes: [-1], keepAxes: true }), ops.min(x, { axes: [1, 2] })];
    return ops.mul(ops.sum(x, { axes: [1] }), ops.sub(ops.sum(largest, { axes: [1] }), ops.reshape(least, [3, 1])));
  },
  'parts and joins': (x) => {
    const parts = ops.slice(x, [{}, { start: 1, end: -1 }, { step: 2 }]);
    return ops.stack(
      [
        ops.concat([parts, ops.slice(x, [{}, { end: 2 }, { end: 3 }])], 1),
        ops.reshape(ops.slice(x, [{}, {}, { end: 3 }]), [3, 4, 3]),
      ],
      1,
    );
  },
  choices: (x) => {
    const isLarge = ops.notEqual(ops.maximum(x, 0.5), 0.5);
    return ops.add(ops.where(isLarge, x, -1), ops.where(ops.arange(x.backend, 5), ops.mul(x, 2), x));
  },
  'rows by number': (x) => {
    const rows = ops.reshape(ops.arange(x.backend, 6), [2, 3]);
    return ops.indexSelect(rows, ops.notEqual(ops.maximum(x, 0), 0));
  },
  softmax: (x) => ops.softmax(ops.softmax(x, { temperature: 0.5 }), { axis: 1 }),
  'causal softmax': (x) => ops.softmax(x, { causal: true, temperature: 0.5 }),
  normalization: (x) => ops.add(ops.layerNorm(x), ops.layerNorm(ops.mul(x, 0.01), { epsilon: 1e-4 })),
  products: (x) => ops.matmul(ops.matmul(x, x, { transposeRight: true }), x),
  'products of transposed': (x) =>
    ops.matmul(x, ops.reshape(ops.permute(x, [0, 2, 1]), [3, 4, 5]), { transposeLeft: true }),
  constants: (x) => {
    const mask = ops.fromArray(x.backend, causalMask, [4, 4]);
    const scores = ops.softmax(ops.add(ops.matmul(x, x, { transposeRight: true }), mask));
    return ops.mul(ops.matmul(scores, x), ops.mul(ops.arange(x.backend, 5), 0.5));
  },
};

function encoded(body: (x: Tensor) => Tensor, input: Shape): Uint8Array {
  const taped: Tape['ops'][number][] = [];
  const see = (call: OpCall) => taped.push({ ...call, layer: undefined });
  const recorded = ops.recordOps([input], (x) => [body(x!)], see);
  const tape = { ...recorded, ops: taped.filter(({ output }) => !recorded.constants.has(output)) };
  const graph = new OnnxGraph();
  const shape = input.slice(1);
  const value = writeOps(graph, tape, [{ name: 'images', layout: sameLayout(input) }]);
  graph.node('Identity', [value], {}, 'logits');
  const port = { shape, description: '' };
  const output = { name: 'logits', ...port, shape: tape.outputs[0]!.shape.slice(1) };
  return encodeModel({ name: 'ops', graph, inputs: [{ name: 'images', ...port }], output, version: '', metadata: {} });
}

test('constants are initializers with their values, whatever ops compute them', () => {
  const [graph] = messages(fieldsOf(encoded(functions['constants']!, [3, 4, 5])), 7);
  const initializers = messages(graph!, 5).map((tensor) => {
    const bytes = (tensor.get(9)![0] as Uint8Array).slice();
    return { name: text(tensor.get(8)![0]), shape: tensor.get(1), values: new Float32Array(bytes.buffer) };
  });
  const scales = Float32Array.from({ length: 5 }, (_, at) => at / 2);
  expect(initializers).toEqual([
    { name: 'add.constant.0', shape: [4, 4], values: causalMask },
    { name: 'mul.constant.1', shape: [5], values: scales },
  ]);
  const nodes = messages(graph!, 1).map((node) => [text(node.get(4)![0]), ...node.get(1)!.map(text)]);
  expect(nodes.map(([type]) => type)).toEqual(['Transpose', 'MatMul', 'Add', 'Softmax', 'MatMul', 'Mul', 'Identity']);
  expect(nodes.flat()).toEqual(expect.arrayContaining(initializers.map(({ name }) => name)));
});

test('an op that ONNX lacks is named', () => {
  expect(() => encoded((x) => ops.equal(x, 0), [3, 4])).toThrow(
    new Error('ONNX: expected ops that it knows, got equal'),
  );
});

/** Runs a file in onnxruntime. */
function run(file: Uint8Array, samples: Float32Array | BigInt64Array): number[] {
  const folder = folderOf({ model: file, samples: new Uint8Array(samples.buffer) });
  const { stdout, stderr, status } = python('-c', script, join(folder, 'model'), join(folder, 'samples'));
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return JSON.parse(stdout);
}

function expectNear(theirs: readonly number[], ours: Float32Array): void {
  expect(theirs).toHaveLength(ours.length);
  expect(ours.every(Number.isFinite)).toBe(true);
  const largest = Math.max(1, ...ours.map(Math.abs));
  expect(Math.max(...ours.map((score, index) => Math.abs(score - theirs[index]!)))).toBeLessThan(1e-5 * largest);
}

describe.skipIf(!hasRuntime)(`onnxruntime${hasRuntime ? '' : ' (skipped: python3 has no package onnxruntime)'}`, () => {
  test.each(models)('gives the logits of $name within 1e-5 of the largest', async (model) => {
    const count = 33;
    const random = randomStream(7);
    const values = embeddingOf(model)?.tokens ?? 256;
    const bytes = Uint8Array.from({ length: count * inputSize(model) }, () => random() * values);
    // GPT-2's small initial weights would hide attention in the rounding.
    const weights = initialize(model, 3).map((weight) => (embeddingOf(model) ? 5 * weight : weight));
    const { backend } = await openBackend('cpu');
    const parameters = backend.allocate(weights.length);
    backend.upload(parameters, weights);
    const plan = createPrediction(backend, model, count, parameters);
    plan.run(bytes);
    const ours = await backend.download(plan.output);
    expectNear(run(writeOnnx(model, weights, {}), asInput(model, bytes)), ours);
  });

  test.each(Object.entries(functions))('computes %s', async (_, body) => {
    const random = randomStream(5);
    const values = Float32Array.from({ length: 60 }, () => 3 * random() - 1.5);
    const { backend } = await openBackend('cpu');
    const ours = await body(ops.fromArray(backend, values, [3, 4, 5])).values();
    expectNear(run(encoded(body, [3, 4, 5]), values), ours);
  });
});
