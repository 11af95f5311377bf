import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parameterLayout, parseModel } from '../src/index.ts';
import { fromTorch, sameLayout, toTorch } from '../src/layer-kind.ts';

const counted = (size: number) => Float32Array.from({ length: size }, (_, index) => index);

describe('layouts', () => {
  test('a transposition', () => {
    const layout = { view: [2, 3], order: [1, 0], shape: [3, 2] };
    expect([...toTorch(counted(6), layout)]).toEqual([0, 3, 1, 4, 2, 5]);
    expect([...fromTorch(counted(6), layout)]).toEqual([0, 2, 4, 1, 3, 5]);
    expect(toTorch(counted(6), sameLayout([2, 3]))).toEqual(counted(6));
  });

  test('fromTorch undoes toTorch, for any axes in any order', () => {
    const layouts = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 5 }).chain((view) =>
      fc.record({
        view: fc.constant(view),
        order: fc.shuffledSubarray([...view.keys()], { minLength: view.length }),
      }),
    );
    fc.assert(
      fc.property(layouts, ({ view, order }) => {
        const values = counted(view.reduce((product, length) => product * length, 1));
        const layout = { view, order, shape: order.map((axis) => view[axis]!) };
        const converted = toTorch(values, layout);
        expect(fromTorch(converted, layout)).toEqual(values);
        expect([...converted].sort((a, b) => a - b)).toEqual([...values]);
      }),
      { numRuns: 200, seed: 1 },
    );
  });
});

describe('a dense layer after a flatten', () => {
  const model = (between: readonly object[]) =>
    parseModel({
      name: 'flat',
      input: [2, 3, 4],
      layers: [{ type: 'flatten' }, ...between, { type: 'dense', units: 5 }, { type: 'dense', units: 2 }],
    });
  const orders = (between: readonly object[]) =>
    parameterLayout(model(between))
      .filter(({ suffix }) => suffix === 'weight')
      .map(({ torch }) => torch.order);

  test('takes the image channel by channel in PyTorch, and only the first one does', () => {
    expect(orders([])).toEqual([
      [3, 2, 0, 1],
      [1, 0],
    ]);
  });

  test('takes it so behind elementwise layers as well', () => {
    expect(orders([{ type: 'relu' }, { type: 'dropout', rate: 0.5 }])[0]).toEqual([3, 2, 0, 1]);
    expect(orders([{ type: 'relu' }, { type: 'flatten' }])[0]).toEqual([3, 2, 0, 1]);
  });

  test('takes the units in order behind another dense layer of as many units', () => {
    expect(orders([{ type: 'dense', units: 24 }])).toEqual([
      [3, 2, 0, 1],
      [1, 0],
      [1, 0],
    ]);
  });
});
