/** A model that a run saves says what it is. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { numberedClasses, readSafetensors, resolveModel } from '@lockstep/nn';
import { beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { tinyArgs } from '../../../packages/train/test/tiny-data.ts';
import { runToReport } from './processes.ts';

const folder = temporaryFolder();
const place = (name: string): string => join(folder, name);
let tiny: string[] = [];

beforeAll(async () => {
  tiny = [...(await tinyArgs(folder)), '--single', '--seed', '7'];
});

describe('--save', () => {
  it('writes layers, classes, samples and origin into the metadata', async () => {
    const { report } = await runToReport(folder, [...tiny, '--steps', '3', '--save', place('m.safetensors')]);
    const { metadata } = readSafetensors(readFileSync(place('m.safetensors')));
    expect(metadata).toEqual({
      format: 'pt',
      model: JSON.stringify(resolveModel('mlp')),
      classes: JSON.stringify(numberedClasses(10)),
      sampleShape: '[28,28,1]',
      scaling: '{"type":"byte","divisor":255}',
      lockstep: report.lockstep,
      seed: '7',
      steps: '3',
      weightsSha256: report.weightsSha256,
    });
  });
});
