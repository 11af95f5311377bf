/** The gpu backend on every mode of gpu.js that works in this Node, and the choice of a mode. */
import { afterAll, expect, it } from 'vitest';
import type { GpuBackend } from '../src/backends/gpu/gpu-backend.ts';
import { isSoftwareAdapter } from '../src/backends/registry.ts';
import { openBackend } from '../src/index.ts';
import { examplesOfEveryStatement } from './every-statement.ts';
import { openModes } from './gpu-devices.ts';
import { describeGpu } from './gpu-suite.ts';

const modes = await openModes();
afterAll(() => Promise.all(modes.map(({ device }) => device?.close())));

// gpu.long.test.ts runs every example on every device.
for (const mode of modes) describeGpu(mode, examplesOfEveryStatement());

it('gpu says why each other mode of a GPU was refused or not tried', async () => {
  const modes = await openModes();
  const working = modes.find(({ device }) => device !== undefined);
  await Promise.all(modes.map(({ device }) => device?.close()));
  if (working === undefined) {
    await expect(openBackend('gpu')).rejects.toThrow(/^backend webgpu was refused: .*; backend webgl2 was refused: /);
    return;
  }
  const { choice, backend } = await openBackend('gpu');
  expect(choice).toMatch(/^computing on gpu \([^;\n]*\)/);
  if (isSoftwareAdapter((backend as GpuBackend).adapter)) {
    expect(choice).toMatch(/: a software renderer\); it needs [\d.]+ ms for a small known gradient, cpu [\d.]+ ms; /);
  }
  for (const mode of ['webgpu', 'webgl2']) expect(choice).toContain(mode);
  await (backend as GpuBackend).close();
});
