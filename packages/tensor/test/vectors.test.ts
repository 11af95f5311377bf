/** Vectors of 256 bits: which engines have them, and that V8's compiler takes every kernel and keeps every bit. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { afterAll, describe, expect, it } from 'vitest';
import { openBackend } from '../src/index.ts';
import { chooseVectors } from '../src/node.ts';
import { resultsOf } from './agreement.ts';
import { opExamples, opNames } from './op-examples.ts';
import { bitsOf } from './support.ts';

const run = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), 'lockstep-vectors-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

// From its second call on, each kernel is the work of the compiler that pairs vectors.
if (Number(process.versions.node.split('.')[0]) >= 24) {
  setFlagsFromString('--wasm-tiering-budget=1');
  setFlagsFromString('--wasm-sync-tier-up');
}
const missing = ((): string | undefined => {
  try {
    chooseVectors('256');
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
})();

it('are had on tested engines alone, and otherwise refused in one sentence', () => {
  if (missing === undefined) expect(Number(process.versions.node.split('.')[0])).toBeOneOf([24, 25, 26]);
  else expect(missing).toMatch(/^expected Node 24 to 26 on an x64 processor with AVX2, got .+/);
  expect(chooseVectors('auto')).toBe(missing === undefined ? 256 : 128);
  expect(chooseVectors('128')).toBe(128);
});

describe.skipIf(missing !== undefined)(`vectors of 256 bits${missing ? ` (skipped: ${missing})` : ''}`, () => {
  it.each(opNames)('give the bits of the reference: %s', async (name) => {
    const [{ backend }, { backend: reference }] = [await openBackend('cpu'), await openBackend('reference')];
    expect(backend.vectorBits).toBe(256);
    for (const example of opExamples[name]) {
      const [got, expected] = [backend, reference].map((each) => resultsOf(each, example));
      for (const [at, tensor] of got!.entries()) {
        expect(bitsOf(await tensor.values())).toEqual(bitsOf(await expected![at]!.values()));
      }
    }
  });

  it('pair the sums of products and convolutions, functions of every element, checksums and steps', async () => {
    const kernels = join(folder, 'kernels.wasm');
    const buildKernels = fileURLToPath(new URL('../scripts/build-kernels.mjs', import.meta.url));
    await run(process.execPath, [buildKernels, '--with-names', kernels]);
    const tracing = ['--experimental-wasm-revectorize', '--trace-wasm-revectorize', '--print-wasm-code'];
    // Compiles every function at once, one after another.
    const order = ['--no-liftoff', '--no-wasm-lazy-compilation', '--single-threaded'];
    const compiling = `new WebAssembly.Module(fs.readFileSync(${JSON.stringify(kernels)}))`;
    const { stdout } = await run(process.execPath, [...tracing, ...order, '--eval', compiling], { maxBuffer: 2 ** 28 });
    expect(pairedFunctions(stdout)).toEqual(expect.arrayContaining(paired));
    for (const name of chains) expect(functionsThatJoinHalves(stdout)).not.toContain(name);
  });
});

/** Functions whose speed depends on pairs of vectors. */
const paired = [
  ...['tile/packedTile', 'convolution/windowTileOf', 'sparse/extendChains', 'sparse/addChains'],
  ...['pool/poolWindow', 'pool/unpoolWindow', 'reductions/sumColumns', 'map/momentumStep'],
  ...['vector-product/sumOfRows', 'rows/softmax', 'transcendental/powLoop'],
  ...['codec/takeBlocks', 'convert/bytesToFloats', 'convert/rowsToFloats', 'generated/programs/runInstruction'],
  ...['exp', 'log', 'tanh', 'sigmoid', 'softplus', 'normalCdf', 'geluSlope'].map(
    (name) => `generated/programs/${name}Loop`,
  ),
];

/** Functions that would gain nothing from a vector of 256 bits if each half had a load of its own. */
const chains = ['tile/packedTile', 'convolution/windowTileOf', 'sparse/extendChains', 'sparse/addChains'];

/** Functions whose machine code makes a vector of 256 bits of two loads. */
function functionsThatJoinHalves(listing: string): string[] {
  const functions = [...listing.matchAll(/^name: kernels\/(\S+)$([\s\S]*?)^--- End code ---$/gm)];
  expect(functions.map(([, name]) => name)).toEqual(expect.arrayContaining(chains));
  return functions.flatMap(([, name, code]) => (/vinsert[fi]128/.test(code!) ? [name!] : []));
}

/** Functions in which V8 found pairs that are worth more than they cost. */
function pairedFunctions(trace: string): string[] {
  const found = trace.matchAll(/Begin revec function kernels\/(\S+)|Save: (\d+), cost: (\d+)/g);
  let name = '';
  return [...found].flatMap(([, begun, saved, cost]) => {
    if (begun !== undefined) name = begun;
    return Number(saved) > Number(cost) ? [name] : [];
  });
}
