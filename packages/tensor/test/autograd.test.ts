/** The public gradient API: leaves, accumulation, freed graphs, errors. */
import { describe, expect, it } from 'vitest';
import {
  add,
  compile,
  exp,
  fromArray,
  fromStorage,
  gather,
  mul,
  noGrad,
  openBackend,
  relu,
  softmaxCrossEntropy,
  sub,
  sum,
  type Tensor,
  tidy,
  valueAndGrad,
  where,
} from '../src/index.ts';

const { backend } = await openBackend('cpu');
const read = (tensor: { readonly storage: Parameters<typeof backend.view>[0] } | undefined): number[] => [
  ...backend.view(tensor!.storage),
];
const vector = (...values: number[]): Tensor => fromArray(backend, values, undefined, { requiresGrad: true });

describe('backward', () => {
  it('leaves the gradient of every leaf in grad, and adds to it', () => {
    const [x, y] = [vector(1, 2), vector(3, 4)];
    sum(mul(x, y)).backward();
    expect([read(x.grad), read(y.grad)]).toEqual([
      [3, 4],
      [1, 2],
    ]);
    sum(mul(x, x)).backward();
    expect(read(x.grad)).toEqual([5, 8]);
  });

  it('adds the shares of a value used several times', () => {
    const x = vector(2, -3);
    const doubled = add(x, x);
    sum(add(mul(doubled, x), sub(doubled, x))).backward();
    // d/dx (2 x^2 + x)
    expect(read(x.grad)).toEqual([9, -11]);
  });

  it('sums back what was broadcast', () => {
    const bias = vector(1, 2, 3);
    const scale = fromArray(backend, [2], [], { requiresGrad: true });
    const x = fromArray(backend, [1, 2, 3, 4, 5, 6], [2, 3]);
    sum(mul(add(x, bias), scale)).backward();
    expect([read(bias.grad), read(scale.grad)]).toEqual([[4, 4, 4], [33]]);
    expect(scale.grad!.shape).toEqual([]);
  });

  it('keeps the gradients of two leaves apart when they have equal values', () => {
    const [x, y] = [vector(1), vector(2)];
    sum(add(x, y)).backward();
    x.dispose();
    expect(read(y.grad)).toEqual([1]);
  });

  it('does not reach leaves that do not require a gradient', () => {
    const [x, y] = [vector(1, 2), fromArray(backend, [3, 4])];
    sum(mul(x, y)).backward();
    expect(y.grad).toBeUndefined();
  });

  it('has the derivative 0 of relu at 0', () => {
    const x = vector(-1, 0, 2);
    sum(relu(x)).backward();
    expect(read(x.grad)).toEqual([0, 0, 1]);
  });

  it('goes through a graph of ten thousand operations', () => {
    const x = vector(1);
    tidy(() => {
      let y = add(x, 0);
      for (let index = 0; index < 10_000; index++) y = add(y, x);
      y.backward();
    });
    expect(read(x.grad)).toEqual([10_001]);
  });

  it('says that a graph was used before', () => {
    const x = vector(1, 2);
    const loss = sum(mul(x, x));
    loss.backward();
    expect(() => loss.backward()).toThrow('backward: the graph of this sum was already used and freed');
    const shared = mul(x, x);
    sum(shared).backward();
    expect(() => sum(shared).backward()).toThrow('backward: the graph of this mul was already used and freed');
  });

  it('says that only one value has a gradient', () => {
    const x = vector(1, 2);
    expect(() => mul(x, x).backward()).toThrow('backward: only a tensor with one value has a gradient, got [2]');
  });

  it('says that nothing was recorded', () => {
    expect(() => sum(fromArray(backend, [1, 2])).backward()).toThrow('not computed from any tensor that requires');
  });

  it('says that indices, conditions and labels have no gradient', () => {
    const indices = vector(1);
    expect(() => sum(gather(vector(1, 2), 0, indices)).backward()).toThrow('gather: indices have no gradient');
    const condition = vector(1, 0);
    expect(() => sum(where(condition, vector(1, 2), 0)).backward()).toThrow('where: the condition has no gradient');
    const losses = softmaxCrossEntropy(fromArray(backend, [1, 2], [1, 2]), vector(1));
    expect(() => losses.backward()).toThrow('labels are class indices and have no gradient');
  });
});

describe('values changed in place between forward and backward', () => {
  const message = 'needs values of a [2] tensor that were changed in place after it was computed';

  it('says so after an upload into an operand', () => {
    const [x, y] = [vector(1, 2), vector(3, 4)];
    const loss = sum(mul(x, y));
    backend.upload(y.storage, Float32Array.of(5, 6));
    expect(() => loss.backward()).toThrow(`backward: the gradient of mul ${message}`);
    const after = sum(mul(x, y));
    after.backward();
    expect(read(x.grad)).toEqual([5, 6]);
  });

  it('says so of an output that its own gradient needs, and of no other', () => {
    const [x, y] = [vector(1, 2), vector(3, 4)];
    const output = exp(x);
    const loss = sum(output);
    backend.upload(output.storage, Float32Array.of(5, 6));
    expect(() => loss.backward()).toThrow(`backward: the gradient of exp ${message}`);
    const total = add(x, y);
    const other = sum(total);
    backend.upload(total.storage, Float32Array.of(5, 6));
    other.backward();
    expect(read(y.grad)).toEqual([1, 1]);
  });

  it('says so after a plan has updated a parameter', () => {
    const [x, y] = [vector(1, 2), vector(3, 4)];
    const update = compile(backend, (p) => sub(p!, 1), [x], { into: [x.storage] });
    const loss = sum(mul(x, y));
    update.run();
    expect(() => loss.backward()).toThrow(`backward: the gradient of mul ${message}`);
    expect(() => read(x)).not.toThrow();
    update.dispose();
  });

  it('says so of a stretch of a larger storage, and not of its neighbors', () => {
    const whole = backend.allocate(4);
    backend.upload(whole, Float32Array.of(1, 2, 3, 4));
    const [first, second] = [backend.slice(whole, 0, 2), backend.slice(whole, 2, 2)];
    const [x, y] = [first, second].map((storage) => fromStorage(backend, storage, [2], { requiresGrad: true })) as [
      Tensor,
      Tensor,
    ];
    const squares = sum(mul(x, x));
    backend.upload(second, Float32Array.of(7, 8));
    squares.backward();
    expect(read(x.grad)).toEqual([2, 4]);
    const product = sum(mul(x, y));
    backend.upload(whole, new Float32Array(4));
    expect(() => product.backward()).toThrow(message);
    backend.free(whole);
  });

  it('does not mind if the gradient does not read the values', () => {
    const [x, y] = [vector(1, 2), vector(3, 4)];
    const loss = sum(add(x, y));
    backend.upload(x.storage, Float32Array.of(9, 9));
    loss.backward();
    expect(read(y.grad)).toEqual([1, 1]);
  });
});

describe('noGrad', () => {
  it('does not record, and records again afterwards, even after a throw', () => {
    const x = vector(1, 2);
    expect(noGrad(() => mul(x, x)).requiresGrad).toBe(false);
    const fail = (): never => {
      throw new Error('stop');
    };
    expect(() => noGrad(fail)).toThrow('stop');
    expect(mul(x, x).requiresGrad).toBe(true);
  });
});

describe('valueAndGrad', () => {
  it('gives value and gradients, and leaves the parameters alone', () => {
    const [x, y] = [fromArray(backend, [1, 2]), fromArray(backend, [5, 7])];
    const { value, gradients } = valueAndGrad((a, b) => sum(mul(a!, mul(a!, b!))), [x, y]);
    expect([read(value), ...gradients.map(read)]).toEqual([[33], [10, 28], [1, 4]]);
    expect([x.grad, x.requiresGrad, value.requiresGrad]).toEqual([undefined, false, false]);
  });

  it('gives zeros for what the value does not depend on, and 1 for the parameter itself', () => {
    const [x, y] = [fromArray(backend, [3], []), fromArray(backend, [5, 7])];
    const { value, gradients } = valueAndGrad((a) => a!, [x, y]);
    expect([read(value), ...gradients.map(read)]).toEqual([[3], [1], [0, 0]]);
  });

  it('gives zeros when the value depends on no parameter', () => {
    const [x, outside] = [fromArray(backend, [3, 4]), fromArray(backend, [1, 2])];
    const { gradients } = valueAndGrad(() => sum(outside), [x]);
    expect(read(gradients[0])).toEqual([0, 0]);
    expect(read(outside)).toEqual([1, 2]);
  });

  it('says that the value must be one', () => {
    expect(() => valueAndGrad((a) => mul(a!, 2), [vector(1, 2)])).toThrow('got [2]');
  });
});

describe('tidy', () => {
  it('gives back everything but what is returned', () => {
    let inner = vector(1);
    const kept = tidy(() => {
      inner = add(vector(1, 2), 1);
      return { nested: [mul(inner, 2)] };
    });
    expect(inner.disposed).toBe(true);
    expect(read(kept.nested[0])).toEqual([4, 6]);
    expect(() => add(inner, 1)).toThrow('tensor: this [2] tensor was already disposed');
  });

  it('passes results to the scope around it, and keeps gradients', () => {
    const x = vector(3);
    const outer = tidy(() => {
      const kept = tidy(() => mul(x, 2));
      sum(mul(kept, x)).backward();
      return kept.disposed;
    });
    expect([outer, ...read(x.grad)]).toEqual([false, 12]);
  });

  it('gives everything back after a throw', () => {
    let made = vector(1);
    const fail = (): never => {
      made = vector(1, 2);
      throw new Error('stop');
    };
    expect(() => tidy(fail)).toThrow('stop');
    expect(made.disposed).toBe(true);
  });

  it('refuses an asynchronous function', () => {
    expect(() => tidy(async () => {})).toThrow('must not be asynchronous');
  });
});
