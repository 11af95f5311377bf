/** `npm run predict`: converts pictures to the model's input, says how, and refuses bad input in one sentence. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp, { type Sharp } from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { startModelCommand } from '../../coordinator/test/processes.ts';
import { predictFiles } from '../src/predict.ts';
import { readPicture } from '../src/predict-samples.ts';
import { barPixels, barsFile, expectRefusal, printed } from './bars.ts';

const folder = temporaryFolder();
const place = (name: string): string => join(folder, name);
const gray = { height: 28, width: 28, channels: 1, fit: 'stretch' } as const;
const bar = (label: number): Sharp => picture(barPixels(label));
const load = ['--load', place('bars')];

function picture(pixels: Uint8Array, channels: 1 | 3 | 4 = 1, width = 28): Sharp {
  const height = pixels.length / channels / width;
  const image = sharp(pixels, { raw: { width, height, channels } });
  return channels === 1 ? image.toColourspace('b-w') : image;
}

beforeAll(async () => {
  writeFileSync(place('bars'), barsFile());
  writeFileSync(place('flat'), barsFile({ sampleShape: '[784]' }));
  writeFileSync(place('seven.png'), await bar(7).png().toBuffer());
  writeFileSync(place('three.json'), JSON.stringify([...barPixels(3)]));
  const photo = await picture(barPixels(2).map((value) => 255 - value))
    .resize(280, 280, { kernel: 'nearest' })
    .jpeg()
    .toBuffer();
  writeFileSync(place('photo.jpg'), photo);
  writeFileSync(place('torn.jpg'), photo.subarray(0, photo.length / 2));
  writeFileSync(place('torn.png'), (await bar(7).png().toBuffer()).subarray(0, 90));
  writeFileSync(place('bar.gif'), await bar(7).gif().toBuffer());
  writeFileSync(place('short.json'), '[1, 2, 3]');
  writeFileSync(place('floats.json'), JSON.stringify([...barPixels(3)].map((value) => value / 255)));
  writeFileSync(place('no.json'), '[1, 2');
});

describe('npm run predict', () => {
  it('names the classes of pictures and lists of values, the most probable first', async () => {
    const files = [place('seven.png'), place('three.json')];
    const { code, stdout, stderr } = await startModelCommand(['predict', ...load, '--top', '1', ...files]).ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout.split('\n')).toEqual([
      `${files[0]}: 28 x 28 pixels in gray, not inverted`,
      `${files[0]}: bar 7 100.00 %`,
      `${files[1]}: 784 values`,
      `${files[1]}: bar 3 100.00 %`,
      '',
    ]);
  });

  it('turns dark on light around where that is asked for', async () => {
    const { stdout } = await printed(() => predictFiles([...load, '--invert', place('photo.jpg')]));
    expect(stdout).toContain('photo.jpg: 280 x 280 pixels in gray, scaled to 28 x 28, inverted\n');
    expect(stdout).toMatch(/photo\.jpg: bar 2 \d+\.\d\d %, then bar \d \d+\.\d\d %, bar \d \d+\.\d\d %\n$/);
  });

  it('prints JSON with all scores', async () => {
    const { stdout } = await printed(() => predictFiles([...load, '--json', '--top', '2', place('three.json')]));
    const [result] = JSON.parse(stdout);
    expect(result).toMatchObject({ file: place('three.json'), reading: '784 values', class: 'bar 3', index: 3 });
    expect(result.top).toHaveLength(2);
    expect(result.top[0]).toEqual({ class: 'bar 3', probability: result.probability });
    expect(result.scores).toHaveLength(10);
    expect(result.scores[3]).toBeCloseTo((28 * 200) / 255, 4);
  });

  it.each<[args: string[], message: RegExp]>([
    [[], /^predict: expected at least one file, got none$/],
    [['none.png'], /^none\.png: no such file or folder$/],
    [['seven.png', 'none.png'], /^none\.png: no such file or folder$/],
    [[folder], /: expected a regular file, got a folder$/],
    [[place('torn.png')], /torn\.png: expected a PNG, JPEG or WebP picture, .* got a file that cannot be read: /],
    [[place('torn.jpg')], /torn\.jpg: expected a PNG, JPEG or WebP picture, .* got a file that cannot be read: /],
    [[place('bars')], /bars: expected a PNG, JPEG or WebP picture, .* got a file that cannot be read: /],
    [[place('bar.gif')], /bar\.gif: expected a PNG, JPEG or WebP picture, .*: GIF pictures must be converted first$/],
    [[place('short.json')], /short\.json: expected a list of 784 values, the input of the model, got 3$/],
    [[place('floats.json')], /floats\.json: expected whole numbers from 0 to 255, got 0\.78\d* at position 6$/],
    [[place('no.json')], /no\.json: cannot be read as JSON: /],
    [['--top', '0', place('three.json')], /^--top: expected a whole number of at least 1, got 0$/],
  ])('%j is refused', async (args, message) => {
    const paths = args.map((arg) => (arg === 'seven.png' ? place(arg) : arg));
    await expectRefusal(() => predictFiles([...load, ...paths]), message);
  });

  it('refuses pictures for a model that does not say their size', async () => {
    const message = /seven\.png: expected a model of gray or color pictures, got one of samples of \[784\]: give it/;
    await expectRefusal(() => predictFiles(['--load', place('flat'), place('seven.png')]), message);
    const { stdout } = await printed(() => predictFiles(['--load', place('flat'), place('three.json')]));
    expect(stdout).toContain('bar 3 100.00 %');
  });
});

describe('readPicture', () => {
  const read = async (image: Sharp, invert = false) => readPicture(await image.png().toBuffer(), gray, invert);

  it('leaves the bytes of a gray picture of the right size alone', async () => {
    expect((await read(bar(4))).values).toEqual(barPixels(4));
    const inverted = barPixels(4).map((value) => 255 - value);
    expect((await read(bar(4), true)).values).toEqual(inverted);
  });

  it('makes color gray by its brightness, and transparent parts white', async () => {
    const colors = Uint8Array.from(
      { length: 784 * 4 },
      (_, index) => [255, 0, 0, index < 784 * 2 ? 255 : 0][index % 4]!,
    );
    const { values, reading } = await read(picture(colors, 4));
    expect(reading).toBe('28 x 28 pixels in color, transparent parts made white, made gray, not inverted');
    expect(values.at(-1)).toBe(255);
    expect(values[0]).toBeGreaterThan(50);
    expect(values[0]).toBeLessThan(130);
  });

  it('stretches other proportions, and says so', async () => {
    const wide = new Uint8Array(56 * 20).fill(77);
    const { values, reading } = await read(picture(wide, 1, 56));
    expect(reading).toBe('56 x 20 pixels in gray, stretched to 28 x 28, not inverted');
    expect(values).toEqual(new Uint8Array(784).fill(77));
  });

  it('turns a photo the way its camera was held', async () => {
    const column = await picture(barPixels(0)).withMetadata({ orientation: 6 }).jpeg({ quality: 100 }).toBuffer();
    const { values } = await readPicture(column, gray, false);
    // Rotated by 90 degrees, the left column becomes the top row.
    expect(Math.min(...values.subarray(0, 28))).toBeGreaterThan(100);
    expect(values[28 * 27]).toBeLessThan(30);
  });

  it('reads 16 bits a channel as 8', async () => {
    const deep = await bar(5).toColourspace('grey16').png().toBuffer();
    const { values } = await readPicture(deep, gray, false);
    expect(values[10]).toBeGreaterThan(190);
    expect(values[10]).toBeLessThan(210);
    expect(values[11]).toBe(0);
  });

  it('gives three channels to a model that takes them', async () => {
    const colors = Uint8Array.from({ length: 784 * 3 }, (_, index) => index % 251);
    const { values, reading } = await readPicture(
      await picture(colors, 3).png().toBuffer(),
      { ...gray, channels: 3 },
      false,
    );
    expect(values).toEqual(colors);
    expect(reading).toBe('28 x 28 pixels in color, not inverted');
    const spread = await readPicture(await bar(1).png().toBuffer(), { ...gray, channels: 3 }, false);
    expect([...spread.values.subarray(2 * 3, 3 * 3)]).toEqual([200, 200, 200]);
  });
});
