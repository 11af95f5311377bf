/** Every function of the library refuses wrong arguments in one sentence of its own. */
import { createServer } from 'node:http';
import { join } from '@lockstep/worker';
import { expect, it } from 'vitest';
import { audit, loadModel, relay, serve, sweep, train } from '../src/index.ts';
import { tiny } from './open-run.ts';

/** A wrong argument, which the compiler would refuse. */
const none = null as never;
const url = 'ws://127.0.0.1:1';
const file = new Uint8Array(3);
const run = train({ ...tiny, epochs: 1 });
const result = await run.result;
const model = await loadModel(result.modelFile());

const anAddress = 'expected an address like ws://127.0.0.1:7070';
const noObject = 'options: expected an object, got null';
const bytes = 'expected bytes as a Uint8Array';
const aFunction = 'expected a function, got 1';

it.each<[what: string, call: () => unknown, message: string]>([
  ['train', () => train(none).result, noObject],
  ['runAgain', () => run.runAgain(none), noObject],
  ['sweep', () => sweep(none), 'sweep: expected an object of options, got null'],
  ['sweep', () => sweep(undefined as never), 'sweep: expected an object of options, got nothing'],
  [
    'sweep with a grid',
    () => sweep({ ...tiny, grid: none }),
    'grid: expected an object with a list of values for each option, got null',
  ],
  ['serve', () => serve(undefined as never), 'serve: expected an http.Server, got nothing'],
  ['serve with options', () => serve(createServer(), none), 'serve: expected an object of options, got null'],
  ['relay', () => relay(url, none).done, noObject],
  ['join', () => join(url, none).done, noObject],
  ['join without an address', () => join(undefined as never).done, `url: ${anAddress}, got undefined`],
  ['join with a promise', () => join(Promise.resolve(url) as never).done, `url: ${anAddress}, got [object Promise]`],
  ['relay without an address', () => relay(none).done, `url: ${anAddress}, got null`],
  ['loadModel', () => loadModel(file, none), 'loadModel: expected an object of options, got null'],
  [
    'evaluate',
    () => model.evaluate(none),
    'evaluate: expected a data set, which openDataset and datasetFrom give, got null',
  ],
  ['modelFile', () => result.modelFile('x' as never), 'format: expected one of safetensors, onnx, got "x"'],
  ['verify', () => result.verify(none), noObject],
  ['verify with a log', () => result.verify({ log: 1 as never }), `log: ${aFunction}`],
  ['audit', () => audit('file' as never), `audit: ${bytes}, got "file"`],
  ['audit', () => audit(none), `audit: ${bytes}, got null`],
  ['audit with options', () => audit(file, none), noObject],
  ...Object.entries({
    data: ['expected a text that is not empty, or { train, test }, got an object with layers', { layers: [{}] }],
    initialWeights: ['expected the bytes of a model file, got "x"', 'x'],
    states: ['expected a folder, or a list of states, got 1', 1],
    rate: ['expected a number from 0 to 1, got "x"', 'x'],
    against: ['expected the bytes of a transcript, got "x"', 'x'],
    weightsSha256: ['expected a text that is not empty, got 1', 1],
    publicKeys: ['expected a list of public keys, got "x"', 'x'],
    threads: ['expected a whole number from 1 to 256, got 0', 0],
    signal: ['expected an AbortSignal, got "x"', 'x'],
    onStep: [aFunction, 1],
    random: [aFunction, 1],
    seed: [
      'unknown option; the options are data, initialWeights, states, rate, against, weightsSha256, publicKeys, threads, signal, onStep, random',
      1,
    ],
  }).map(([name, [message, wrong]]): [string, () => unknown, string] => [
    `audit with ${name}`,
    () => audit(file, { [name]: wrong }),
    `${name}: ${message}`,
  ]),
])('%s refuses what it cannot take', async (_, call, message) => {
  await expect((async () => call())()).rejects.toMatchObject({ message });
});
