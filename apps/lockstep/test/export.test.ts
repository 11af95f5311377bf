/** `npm run export` writes the ONNX file that `--save` would have written. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { tinyArgs } from '../../../packages/train/test/tiny-data.ts';
import { argumentsIn, runToReport, startModelCommand } from '../../coordinator/test/processes.ts';
import { exportModel } from '../src/saved-model.ts';
import { barsFile, expectRefusal } from './bars.ts';

const folder = temporaryFolder();
const place = (name: string): string => join(folder, name);

beforeAll(() => writeFileSync(place('bars'), barsFile()));

describe('npm run export', () => {
  it('gives the bytes that --save FILE.onnx gives for the same run', async () => {
    const run = [...(await tinyArgs(folder)), '--single', '--steps', '2'];
    await runToReport(folder, [...run, '--save', place('saved.onnx')]);
    await runToReport(folder, [...run, '--save', place('saved.safetensors')]);
    const args = ['export', '--load', place('saved.safetensors'), '--onnx', place('exported.onnx')];
    const { code, stdout, stderr } = await startModelCommand(args).ended;
    expect({ code, stdout, stderr }).toEqual({
      code: 0,
      stdout: `model mlp written to ${place('exported.onnx')}\n`,
      stderr: '',
    });
    expect(readFileSync(place('exported.onnx')).equals(readFileSync(place('saved.onnx')))).toBe(true);
  });

  it.each<[line: string, message: RegExp]>([
    ['--load {bars}', /^--onnx: expected FILE\.onnx, or --config FILE\.json instead, got none$/],
    ['--load {bars} --config {out.onnx}', /^--config: model bars: expected the layers of GPT-2, with equal blocks .*$/],
    ['--onnx {out.onnx}', /^--load: expected FILE\.safetensors, got none$/],
    ['--load {none} --onnx {out.onnx}', /^--load: .*none: no such file or folder/],
    ['--load {bars} --onnx {none/out.onnx}', /^--onnx: .*: cannot use the folder/],
    ['--load {bars} --onnx {bars}', /^--onnx: expected a file that no other option uses, but --load reads .*bars$/],
  ])('%j is refused, and writes nothing', async (line, message) => {
    await expectRefusal(() => exportModel(argumentsIn(folder, line)), message);
    expect(readFileSync(place('bars'))).toEqual(Buffer.from(barsFile()));
    expect(existsSync(place('out.onnx'))).toBe(false);
  });
});
