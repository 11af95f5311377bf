import { describe, expect, it } from 'vitest';
import {
  add,
  averagePool2d,
  compile,
  div,
  fromArray,
  fromStorage,
  matmul,
  mul,
  neg,
  type OpCall,
  recordOps,
  reshape,
  slice,
  softmax,
  sub,
  sum,
  type Tensor,
  tidy,
  transpose,
} from '../src/index.ts';
import { attend, networkStep } from './agreement.ts';
import { bitsOf, openAll, randomValues, valuesIn } from './support.ts';

const backends = await openAll();

const [batch, features, hidden, classes] = [33, 70, 24, 10];
const shapes = [[features, hidden], [hidden], [hidden, classes], [classes]];

describe.each(backends)('$name', (backend) => {
  const networkInputs = (): Tensor[] => [
    fromArray(backend, randomValues(batch * features, 1, 0.2), [batch, features]),
    fromArray(backend, valuesIn('class index', [batch], 2, classes), [batch]),
    ...shapes.map((shape, index) => fromArray(backend, randomValues(shape[0]! * (shape[1] ?? 1), 3 + index), shape)),
  ];
  const read = (tensor: Tensor): Float32Array => backend.view(tensor.storage).slice();

  it('gives the bits of eager execution for a whole gradient step, in one storage', () => {
    const inputs = networkInputs();
    const eager = tidy(() => networkStep(...inputs).map(read));
    const plan = compile(backend, networkStep, inputs);
    plan.run();
    expect(plan.outputs.map(read).map(bitsOf)).toEqual(eager.map(bitsOf));
    const flat = eager.flatMap((values) => [...values]);
    expect([...backend.view(plan.output)]).toEqual(flat);
  });

  it('fuses and removes: a gradient step is five products and few passes, without the gradient of the batch', () => {
    const inputs = networkInputs();
    const plan = compile(backend, networkStep, inputs);
    const count = (kind: string): number => plan.calls.filter((call) => call === kind).length;
    expect([count('matmul'), count('map'), count('crossEntropy')]).toEqual([5, 2, 1]);
    expect(plan.arenaLength).toBeLessThan(4 * batch * hidden);
  });

  it('reads inputs again at each run, and allocates those given as a shape', () => {
    const weights = fromArray(backend, [1, 2], [2]);
    const plan = compile(backend, (x, w) => mul(x!, w!), [[2], weights]);
    backend.upload(plan.inputs[0]!.storage, Float32Array.of(3, 4));
    plan.run();
    expect([...read(plan.outputs[0]!)]).toEqual([3, 8]);
    backend.upload(weights.storage, Float32Array.of(10, 20));
    plan.run();
    expect([...read(plan.outputs[0]!)]).toEqual([30, 80]);
  });

  it('updates inputs in place after every read of their old values', () => {
    const [p, g] = [fromArray(backend, [1, 2, 3]), fromArray(backend, [10, 20, 30])];
    const swap = compile(backend, (a, b) => [b!, a!], [p, g], { into: [p.storage, g.storage] });
    swap.run();
    expect([[...read(p)], [...read(g)]]).toEqual([
      [10, 20, 30],
      [1, 2, 3],
    ]);
    const descend = compile(backend, (a, b) => sub(a!, mul(0.5, b!)), [p, g], { into: [p.storage] });
    descend.run();
    expect([...read(p)]).toEqual([9.5, 19, 28.5]);
    expect(descend.calls).toEqual(['map']);
    const both = compile(backend, (a, b) => [mul(a!, 2), add(sum(a!), b!)], [p, g], { into: [p.storage, g.storage] });
    both.run();
    expect([[...read(p)], [...read(g)]]).toEqual([
      [19, 38, 57],
      [58, 59, 60],
    ]);
    const square = fromArray(backend, [1, 2, 3, 4], [2, 2]);
    const turn = compile(backend, (a) => transpose(a!), [square], { into: [square.storage] });
    turn.run();
    expect([...read(square)]).toEqual([1, 3, 2, 4]);
    const tens = fromArray(backend, [10, 20, 30, 40], [2, 2]);
    const turnAndAdd = compile(backend, (a, b) => add(transpose(a!), b!), [square, tens], { into: [square.storage] });
    turnAndAdd.run();
    expect([...read(square)]).toEqual([11, 22, 33, 44]);
  });

  it('returns inputs, constants, reshapes and the same value twice', () => {
    const plan = compile(
      backend,
      (x) => {
        const doubled = add(x!, x!);
        return [x!, doubled, reshape(doubled, [2, 1]), doubled, fromArray(x!.backend, [5, 6]), mul(sub(x!, x!), 0)];
      },
      [[2]],
    );
    backend.upload(plan.inputs[0]!.storage, Float32Array.of(1, 2));
    plan.run();
    expect([...backend.view(plan.output)]).toEqual([1, 2, 2, 4, 2, 4, 2, 4, 5, 6, 0, 0]);
    expect(plan.outputs[2]!.shape).toEqual([2, 1]);
  });

  it('reads through transpositions in products', () => {
    const inputs = [fromArray(backend, randomValues(12, 1), [4, 3]), fromArray(backend, randomValues(20, 2), [5, 4])];
    const body = (a: Tensor | undefined, b: Tensor | undefined): Tensor => matmul(transpose(a!), transpose(b!));
    const eager = tidy(() => read(body(...(inputs as [Tensor, Tensor]))));
    const plan = compile(backend, body, inputs);
    plan.run();
    expect(plan.calls).toEqual(['matmul']);
    expect(read(plan.outputs[0]!)).toEqual(eager);
  });

  it.each<[name: string, body: (a: Tensor, b: Tensor) => Tensor, isReadThrough: boolean]>([
    ['the whole', (a, b) => matmul(transpose(a), b), true],
    ['the whole, twice', (a, b) => matmul(transpose(transpose(a)), b), true],
    ['from the second row on', (a, b) => matmul(transpose(slice(a, [{ start: 1 }])), slice(b, [{ end: 3 }])), true],
    ['from the second column on', (a, b) => matmul(transpose(slice(a, [{}, { start: 1 }])), b), true],
    ['every other row', (a, b) => matmul(transpose(slice(a, [{ step: 2 }])), slice(b, [{ end: 2 }])), true],
    [
      'as one value of a column',
      (a, b) => matmul(slice(reshape(a, [16, 1]), [{ start: 2, end: 3 }]), slice(b, [{ end: 1 }])),
      true,
    ],
    ['in another shape', (a, b) => matmul(reshape(transpose(a), [2, 8]), reshape(b, [8, 2])), false],
  ])('a product of a matrix that is transposed %s has the bits of eager execution', (_, body, isReadThrough) => {
    const inputs = [fromArray(backend, randomValues(16, 1), [4, 4]), fromArray(backend, randomValues(16, 2), [4, 4])];
    const eager = tidy(() => read(body(...(inputs as [Tensor, Tensor]))));
    const plan = compile(backend, (a, b) => body(a!, b!), inputs);
    plan.run();
    expect(read(plan.outputs[0]!)).toEqual(eager);
    expect(plan.calls.length === 1).toBe(isReadThrough);
  });

  it('multiplies heads where they lie in one tensor: no copies, and the bits of eager execution', () => {
    const x = fromArray(backend, randomValues(2 * 5 * 36, 1), [2, 5, 36]);
    const plan = compile(backend, (all) => attend(all!, 3), [x]);
    plan.run();
    expect(plan.calls).toEqual(['matmul', 'matmul']);
    expect(plan.outputs.map(read).map(bitsOf)).toEqual(tidy(() => attend(x, 3).map(read)).map(bitsOf));
  });

  it.each<[name: string, body: (x: Tensor) => Tensor]>([
    ['1 / x', (x) => div(1, x)],
    ['x / 1', (x) => div(x, 1)],
    ['1 * x', (x) => mul(1, x)],
    ['x * 1', (x) => mul(x, 1)],
    ['1 - x', (x) => sub(1, x)],
    ['x / -1', (x) => div(x, -1)],
    ['(1 / x) * 1', (x) => mul(div(1, x), 1)],
  ])('%s stays what it is, with every bit', (_, body) => {
    const values = [0.3, -7, 0, -0, 1e-40, Number.POSITIVE_INFINITY, Number.NaN, 3.4e38];
    const x = fromArray(backend, values, [values.length]);
    const eager = tidy(() => read(body(x)));
    // The second output wraps the result in more maps, so that its formula is fused with theirs.
    const plan = compile(backend, (input) => [body(input!), neg(body(neg(input!)))], [x]);
    plan.run();
    expect(bitsOf(read(plan.outputs[0]!))).toEqual(bitsOf(eager));
    expect(bitsOf(read(plan.outputs[1]!))).toEqual(bitsOf(tidy(() => read(neg(body(neg(x)))))));
  });

  it('works with backward() and grad', () => {
    const plan = compile(
      backend,
      (x) => {
        x!.requiresGrad = true;
        sum(mul(x!, x!)).backward();
        return x!.grad!;
      },
      [[3]],
    );
    backend.upload(plan.inputs[0]!.storage, Float32Array.of(1, 2, 3));
    plan.run();
    expect([...backend.view(plan.output)]).toEqual([2, 4, 6]);
  });

  it('survives a scope that was open when it was made', () => {
    const plan = tidy(() => compile(backend, (x) => neg(x!), [[2]]));
    backend.upload(plan.inputs[0]!.storage, Float32Array.of(1, -2));
    plan.run();
    expect([...read(plan.outputs[0]!)]).toEqual([-1, 2]);
  });

  it('says what cannot be compiled', async () => {
    const outside = fromArray(backend, [1]);
    expect(() => compile(backend, (x) => add(x!, outside), [[1]])).toThrow('every tensor must come in as an input');
    expect(() => compile(backend, () => outside, [])).toThrow('did not compute from its inputs');
    expect(() => compile(backend, (x) => x!, [[2]], { into: [outside.storage] })).toThrow('output 0 has 2 values');
    let values: Promise<Float32Array> | undefined;
    compile(
      backend,
      (x) => {
        values = x!.values();
        return x!;
      },
      [[1]],
    );
    await expect(values).rejects.toThrow('a tensor has no values while a function is recorded');
  });

  it('reads stretches of a flat parameter storage', () => {
    const flat = backend.allocate(6);
    backend.upload(flat, Float32Array.of(1, 2, 3, 4, 5, 6));
    const [w, b] = [
      fromStorage(backend, backend.slice(flat, 0, 4), [2, 2]),
      fromStorage(backend, backend.slice(flat, 4, 2), [2]),
    ];
    const plan = compile(backend, (x, weight, bias) => add(matmul(x!, weight!), bias!), [[1, 2], w, b]);
    backend.upload(plan.inputs[0]!.storage, Float32Array.of(1, 1));
    plan.run();
    expect([...backend.view(plan.output)]).toEqual([9, 12]);
  });

  it('leaves its outputs in a storage of the caller, and the same in others', () => {
    const [own, other] = [backend.allocate(4), backend.allocate(4)];
    const plan = compile(backend, (x) => [mul(x!, 2), add(x!, 1)], [[2]], { output: own });
    expect(plan.output).toBe(own);
    backend.upload(plan.inputs[0]!.storage, Float32Array.of(3, 4));
    plan.run();
    expect([...backend.view(own)]).toEqual([6, 8, 4, 5]);
    backend.upload(plan.inputs[0]!.storage, Float32Array.of(5, 6));
    plan.into(other).run();
    expect([...backend.view(other)]).toEqual([10, 12, 6, 7]);
    expect([...backend.view(own)]).toEqual([6, 8, 4, 5]);
    expect(plan.into(other)).toBe(plan.into(other));
    plan.dispose();
    // The caller still owns the storages.
    for (const storage of [own, other]) backend.free(storage);
    const short = backend.allocate(3);
    expect(() => compile(backend, (x) => [mul(x!, 2), add(x!, 1)], [[2]], { output: short })).toThrow(
      'compile: the outputs have 4 values, but the storage for it has 3',
    );
  });
});

describe('recordOps', () => {
  it('sees each op that a function calls, not the ops inside of it, on tensors without values', () => {
    const calls: OpCall[] = [];
    const { inputs, outputs } = recordOps(
      [
        [2, 4, 4, 1],
        [4, 3],
      ],
      (images, weight) => [softmax(matmul(reshape(averagePool2d(images!, 2), [2, -1]), weight!))],
      (call) => calls.push(call),
    );
    expect(calls.map(({ name, output }) => [name, output.shape])).toEqual([
      ['averagePool2d', [2, 2, 2, 1]],
      ['reshape', [2, 4]],
      ['matmul', [2, 3]],
      ['softmax', [2, 3]],
    ]);
    const [pooled, flat, product, result] = calls.map(({ output }) => output);
    expect(calls.map(({ args }) => args)).toEqual([[inputs[0], 2], [pooled, [2, -1]], [flat, inputs[1]], [product]]);
    expect(outputs).toEqual([result]);
    expect(() => outputs[0]!.storage).toThrow('already disposed');
  });

  it('sees nothing after the function has thrown', () => {
    const calls: OpCall[] = [];
    const fail = (x: Tensor | undefined): never => {
      add(x!, 1);
      throw new Error('given up');
    };
    expect(() => recordOps([[2]], fail, (call) => calls.push(call))).toThrow('given up');
    expect(calls.map(({ name, args }) => [name, args[1]])).toEqual([['add', 1]]);
    recordOps(
      [[2]],
      (x) => [mul(x!, 2)],
      () => {},
    );
    expect(calls).toHaveLength(1);
  });
});
