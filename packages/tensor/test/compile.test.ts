/** Compiled plans: the bits of eager execution, fewer calls, static memory, updates in place. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Tensor } from '../src/index.ts';
import {
  add,
  broadcastTo,
  compile,
  concat,
  correct,
  div,
  exp,
  fromArray,
  fromStorage,
  gelu,
  greater,
  indexSelect,
  log,
  logSoftmax,
  matmul,
  max,
  mean,
  mul,
  neg,
  openBackend,
  pad,
  relu,
  reshape,
  sigmoid,
  slice,
  softmax,
  softmaxCrossEntropy,
  stack,
  sub,
  sum,
  tanh,
  tidy,
  transpose,
  valueAndGrad,
  where,
} from '../src/index.ts';
import { bitsOf, openAll, randomStream, randomValues, valuesIn } from './support.ts';

const backends = await openAll();

const [batch, features, hidden, classes] = [33, 70, 24, 10];
const shapes = [[features, hidden], [hidden], [hidden, classes], [classes]];

/** Gradients, loss sum and number correct of a network of two layers. */
function step(x: Tensor, labels: Tensor, ...parameters: Tensor[]): Tensor[] {
  let right: Tensor | undefined;
  const { value, gradients } = valueAndGrad((w1, b1, w2, b2) => {
    const logits = add(matmul(relu(add(matmul(x, w1!), b1!)), w2!), b2!);
    right = sum(correct(logits, labels));
    return sum(softmaxCrossEntropy(logits, labels));
  }, parameters);
  return [...gradients, value, right!];
}

describe.each(backends.map((backend) => [backend.name, backend] as const))('%s', (_, backend) => {
  const networkInputs = (): Tensor[] => [
    fromArray(backend, randomValues(batch * features, 1, 0.2), [batch, features]),
    fromArray(backend, valuesIn('class index', [batch], 2, classes), [batch]),
    ...shapes.map((shape, index) => fromArray(backend, randomValues(shape[0]! * (shape[1] ?? 1), 3 + index), shape)),
  ];
  const read = (tensor: Tensor): Float32Array => backend.view(tensor.storage).slice();

  it('gives the bits of eager execution for a whole gradient step, in one storage', () => {
    const inputs = networkInputs();
    const eager = tidy(() => step(inputs[0]!, inputs[1]!, ...inputs.slice(2)).map(read));
    const plan = compile(backend, (x, labels, ...parameters) => step(x!, labels!, ...parameters), inputs);
    plan.run();
    expect(plan.outputs.map(read).map(bitsOf)).toEqual(eager.map(bitsOf));
    const flat = eager.flatMap((values) => [...values]);
    expect([...backend.view(plan.output)]).toEqual(flat);
    plan.dispose();
    for (const tensor of inputs) tensor.dispose();
  });

  it('fuses and removes: a gradient step is five products and few passes, without the gradient of the batch', () => {
    const inputs = networkInputs();
    const plan = compile(backend, (x, labels, ...parameters) => step(x!, labels!, ...parameters), inputs);
    const count = (kind: string): number => plan.calls.filter((call) => call === kind).length;
    expect([count('matmul'), count('map'), count('crossEntropy')]).toEqual([5, 2, 1]);
    expect(plan.arenaLength).toBeLessThan(4 * batch * hidden);
    plan.dispose();
    for (const tensor of inputs) tensor.dispose();
  });

  it('reads inputs anew at each run, and allocates those given as a shape', () => {
    const weights = fromArray(backend, [1, 2], [2]);
    const plan = compile(backend, (x, w) => mul(x!, w!), [[2], weights]);
    backend.upload(plan.inputs[0]!.storage, Float32Array.of(3, 4));
    plan.run();
    expect([...read(plan.outputs[0]!)]).toEqual([3, 8]);
    backend.upload(weights.storage, Float32Array.of(10, 20));
    plan.run();
    expect([...read(plan.outputs[0]!)]).toEqual([30, 80]);
    plan.dispose();
    weights.dispose();
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
    for (const item of [swap, descend, both, turn, p, g, square]) item.dispose();
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
    plan.dispose();
  });

  it('reads through transpositions in products', () => {
    const inputs = [fromArray(backend, randomValues(12, 1), [4, 3]), fromArray(backend, randomValues(20, 2), [5, 4])];
    const body = (a: Tensor | undefined, b: Tensor | undefined): Tensor => matmul(transpose(a!), transpose(b!));
    const eager = tidy(() => read(body(...(inputs as [Tensor, Tensor]))));
    const plan = compile(backend, body, inputs);
    plan.run();
    expect(plan.calls).toEqual(['matmul']);
    expect(read(plan.outputs[0]!)).toEqual(eager);
    plan.dispose();
    for (const tensor of inputs) tensor.dispose();
  });

  it('gives the bits of eager execution for random programs', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(), { minLength: 1, maxLength: 25 }), fc.nat(), (choices, seed) => {
        const body = (...inputs: Tensor[]): Tensor[] => randomProgram(inputs, choices, seed);
        const inputs = [[4, 4], [4, 4], [4], [4, 1], []].map((shape, index) =>
          fromArray(backend, valuesIn('positive', shape, seed + index, 4), shape),
        );
        const eager = tidy(() => body(...inputs).map(read));
        const plan = compile(backend, body, inputs);
        for (let run = 0; run < 2; run++) {
          plan.run();
          expect(plan.outputs.map(read)).toEqual(eager);
        }
        plan.dispose();
        for (const tensor of inputs) tensor.dispose();
      }),
      { numRuns: 250, seed: 6 },
    );
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
    plan.dispose();
  });

  it('survives a scope that was open when it was made', () => {
    const plan = tidy(() => compile(backend, (x) => neg(x!), [[2]]));
    backend.upload(plan.inputs[0]!.storage, Float32Array.of(1, -2));
    plan.run();
    expect([...read(plan.outputs[0]!)]).toEqual([-1, 2]);
    plan.dispose();
  });

  it('says what cannot be compiled', async () => {
    const outside = fromArray(backend, [1]);
    expect(() => compile(backend, (x) => add(x!, outside), [[1]])).toThrow('every tensor must come in as an input');
    expect(() => compile(backend, () => outside, [])).toThrow('did not compute from its inputs');
    expect(() => compile(backend, (x) => x!, [[2]], { into: [outside.storage] })).toThrow('output 0 has 2 values');
    let values: Promise<Float32Array> | undefined;
    const peek = compile(
      backend,
      (x) => {
        values = x!.values();
        return x!;
      },
      [[1]],
    );
    await expect(values).rejects.toThrow('a tensor has no values while a function is recorded');
    peek.dispose();
    outside.dispose();
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
    plan.dispose();
    backend.free(flat);
  });
});

/** A straight-line program over [4, 4] values that broadcasts, reduces, transposes, multiplies and differentiates. */
function randomProgram(inputs: Tensor[], choices: readonly number[], seed: number): Tensor[] {
  const random = randomStream(seed);
  const pool = [...inputs];
  const any = (): Tensor => pool[Math.floor(random() * pool.length)]!;
  const twice = (half: Tensor): Tensor => concat([half, half]);
  const any16 = (): Tensor => pool.filter((tensor) => tensor.shape.length === 2 && tensor.size === 16)[0]!;
  const square = (): Tensor => pool.filter((tensor) => tensor.shape.length === 2 && tensor.size === 16).at(-1)!;
  const steps: (() => Tensor)[] = [
    () => add(any(), any()),
    () => sub(any(), square()),
    () => mul(any(), any()),
    () => div(any(), 3),
    () => relu(any()),
    () => exp(neg(mul(any(), 0.1))),
    () => log(add(mul(any(), any()), 2)),
    () => matmul(square(), square()),
    () => transpose(square()),
    () => matmul(transpose(square()), inputs[0]!),
    () => matmul(broadcastTo(inputs[3]!, [4, 4]), square()),
    () => sum(square(), { axes: [Math.floor(random() * 2)] }),
    () => mean(square(), { axes: [1], keepAxes: true }),
    () => reshape(reshape(square(), [16]), [4, 4]),
    () => valueAndGrad((x) => sum(mul(relu(x!), any())), [square()]).gradients[0]!,
    () => concat([slice(square(), [{ start: 1 }]), slice(square(), [{ end: 1 }])]),
    () =>
      pad(
        slice(square(), [{}, { start: 1, end: 3 }]),
        [
          [0, 0],
          [1, 1],
        ],
        0.5,
      ),
    () => reshape(slice(stack([square(), square()], 1), [{}, { start: 1 }]), [4, 4]),
    () => reshape(matmul(reshape(square(), [2, 2, 4]), square()), [4, 4]),
    () => twice(reshape(matmul(reshape(square(), [2, 2, 4]), reshape(square(), [2, 4, 2])), [2, 4])),
    () => twice(matmul(reshape(transpose(slice(square(), [{ end: 2 }])), [2, 4]), square())),
    () => where(greater(square(), 0.3), any(), square()),
    () => indexSelect(square(), fromArray(square().backend, [3, 0, 0, 1]), Math.floor(random() * 2)),
    () => softmax(square(), { axis: Math.floor(random() * 2) }),
    () => max(square(), { axes: [Math.floor(random() * 2)], keepAxes: true }),
    () => tanh(mul(square(), sigmoid(any()))),
    () => valueAndGrad((x) => sum(mul(concat([slice(x!, [{ step: 2 }]), gelu(x!)]), 0.5)), [square()]).gradients[0]!,
    () => valueAndGrad((x) => sum(mul(logSoftmax(matmul(x!, any16())), any16())), [square()]).gradients[0]!,
  ];
  for (const choice of choices) {
    const result = steps[choice % steps.length]!();
    // Keeps magnitudes tame over many products.
    pool.push(result.size === 16 ? mul(reshape(result, [4, 4]), 0.25) : result);
  }
  return pool.slice(-3);
}

describe('memory of cpu', () => {
  const cpu = backends.find((backend) => backend.name === 'cpu')!;

  it('neither moves nor grows over many runs and over many plans', () => {
    const probe = cpu.allocate(1);
    const make = (): void => {
      const plan = compile(cpu, (x, w) => valueAndGrad((v) => sum(relu(matmul(x!, v!))), [w!]).gradients[0]!, [
        [64, 300],
        [300, 50],
      ]);
      for (let run = 0; run < 20; run++) plan.run();
      plan.dispose();
    };
    make();
    const { buffer } = cpu.view(probe);
    const before = buffer.byteLength;
    for (let round = 0; round < 50; round++) {
      make();
      tidy(() => {
        const x = fromArray(cpu, randomValues(64 * 300, round), [64, 300], { requiresGrad: true });
        sum(mul(x, x)).backward();
      });
    }
    expect(cpu.view(probe).buffer).toBe(buffer);
    expect(cpu.view(probe).buffer.byteLength).toBe(before);
    cpu.free(probe);
  });
});

it('a function that throws leaves no memory taken', async () => {
  const { backend } = await openBackend('cpu');
  const fail = (): never => {
    throw new Error('stop');
  };
  const first = backend.allocate(1);
  const { buffer } = backend.view(first);
  // Together far more than the memory could hold without growing.
  for (let round = 0; round < 50; round++) {
    expect(() => compile(backend, fail, [[100_000]])).toThrow('stop');
  }
  expect(backend.view(first).buffer).toBe(buffer);
});
