/** The gpu backend except for its kernels: device memory, and the numerics check. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DeviceKernel, KernelSource } from '../src/backends/gpu/device.ts';
import { GpuBackend } from '../src/backends/gpu/gpu-backend.ts';
import { checkNumerics } from '../src/backends/registry.ts';
import { openBackend } from '../src/index.ts';
import { networkPlan } from './agreement.ts';
import { HostDevice } from './host-device.ts';

describe('what a device holds', () => {
  it('does not grow over many runs, and is given back in the end', async () => {
    const device = new HostDevice();
    const backend = new GpuBackend('gpu', device);
    const plan = networkPlan(backend, { batch: 5, features: 6, hidden: 4, classes: 3 });
    plan.run();
    const [held, runs] = [device.held, device.runs];
    for (let round = 0; round < 10; round++) plan.run();
    expect(device.held).toBe(held);
    expect(device.runs).toBe(11 * runs);
    plan.dispose();
    await backend.close();
    expect(device.held).toBe(0);
  });
});

/** A device that changes shaders before it compiles them, like a driver with a faulty compiler. */
class TamperedDevice extends HostDevice {
  readonly #change: (body: string) => string;
  /** Number of shaders that were changed. */
  tampered = 0;

  constructor(change: (body: string) => string) {
    super();
    this.#change = change;
  }

  override compile(source: KernelSource): DeviceKernel {
    const body = this.#change(source.body);
    if (body !== source.body) this.tampered++;
    return super.compile({ ...source, body });
  }
}

describe('the numerics check of a device that computes wrongly', () => {
  it.each([
    ['a product', (body: string) => body.replace('s1 += l', 's1 -= l')],
    ['a product of four rows at a time', (body: string) => body.replace('part2(', 'part2(0.0 * ')],
    ['the last multiplication of a long row', (body: string) => body.replace(/i < (\d+); i/, 'i < $1 - 1; i')],
    ['a bias', (body: string) => body.replace(/ \+ bias\[3\];/, ';')],
    ['an exponential', (body: string) => body.replaceAll('Math.exp(', '1.001 * Math.exp(')],
    ['every fourth value', (body: string) => body.replace(/, ([^,]*)\];$/, ', 0.0];')],
    ['the last column under a window', (body: string) => body.replace('kx < 3', 'kx < 2')],
    ['padding, taken for a pixel', (body: string) => body.replaceAll(/ >= 0 && /g, ' >= -1 && ')],
    ['the largest under a window', (body: string) => body.replaceAll(' > m', ' < m')],
    ['where a window had its largest value', (body: string) => body.replace('=== 2 * (ky) + kx', '=== 0')],
  ])('refuses %s', async (_, change) => {
    const device = new TamperedDevice(change);
    await expect(checkNumerics(new GpuBackend('gpu', device))).rejects.toThrow('its arithmetic is wrong');
    expect(device.tampered).toBeGreaterThan(0);
  });

  it('passes if nothing was changed', async () => {
    const backend = new GpuBackend('gpu', new TamperedDevice((body) => body));
    await expect(checkNumerics(backend)).resolves.toEqual(expect.any(Number));
  });
});

describe('choosing', () => {
  it('says in one line what computes, and why no GPU does', async () => {
    const { choice } = await openBackend('auto');
    expect(choice).toBe('computing on cpu; GPUs only on request');
  });
});

it('reads back what was written, however a storage was written in parts', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(fc.nat(15), fc.nat(15)), { maxLength: 12 }), async (writes) => {
      const device = new HostDevice();
      const backend = new GpuBackend('gpu', device);
      const storage = backend.allocate(16);
      const expected = new Float32Array(16);
      writes.forEach(([offset, reach], index) => {
        const length = Math.min(reach, 16 - offset);
        const values = new Float32Array(length).fill(index + 1);
        backend.upload(backend.slice(storage, offset, length), values);
        expected.set(values, offset);
      });
      expect(await backend.download(storage)).toEqual(expected);
      backend.free(storage);
      expect(device.held).toBe(0);
    }),
    { numRuns: 60 },
  );
});
