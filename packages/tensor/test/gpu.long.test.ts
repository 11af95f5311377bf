/** Every example of every op on every device; gpu.full.test.ts runs a subset that covers every kernel statement. */
import { afterAll, describe, expect, it } from 'vitest';
import { GpuBackend } from '../src/backends/gpu/gpu-backend.ts';
import { openBackend } from '../src/index.ts';
import { disagreements } from './agreement.ts';
import { cramped, openModes } from './gpu-devices.ts';
import { opExamples, opNames } from './op-examples.ts';

const { backend: reference } = await openBackend('reference');
const modes = await openModes();

afterAll(() => Promise.all(modes.map(({ device }) => device?.close())));

describe.each([cramped, ...modes])('$title', ({ device }) => {
  const run = device === undefined ? it.skip : it;
  const backend = device && new GpuBackend('gpu', device);

  run.each(opNames)('%s agrees with the reference', async (name) => {
    expect(await disagreements(backend!, reference, name, opExamples[name])).toEqual([]);
  });
});
