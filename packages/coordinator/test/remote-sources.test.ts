/** Vectors for remote workers: the weights of their step, and a numerics check that the run does not keep. */

import { createNumericsCheck, Parameters, type ShardSource } from '@lockstep/compute';
import { bytesOf, type CoordinatorMessage, memoryPair, type OutgoingVector } from '@lockstep/protocol';
import { defaultLimits, planRun } from '@lockstep/rules';
import { openBackend } from '@lockstep/tensor';
import { expect, it } from 'vitest';
import { model } from '../../sim/test/support.ts';
import { RemoteConnection, RemoteSources } from '../src/connections.ts';

const plan = planRun({ samples: 14, batch: 8, microbatchSize: 2, epochs: 3 });
const samples: ShardSource = {
  shard: () => {
    throw new Error('expected no task');
  },
} as unknown as ShardSource;

async function open(length: number) {
  const { backend } = await openBackend('cpu');
  const weights = Float32Array.from({ length }, (_, index) => index % 1_000);
  const parameterServer = new Parameters({ backend, plan, weights });
  let checksMade = 0;
  const numericsCheck = Object.defineProperty({ ...createNumericsCheck(model, 2) }, 'weights', {
    get: () => {
      checksMade += 1;
      return bytesOf(weights);
    },
  });
  const setup = { plan, limits: defaultLimits };
  const sources = new RemoteSources({ setup, samples, parameterServer, numericsCheck });
  return {
    sources,
    /** Sets the weights of a step, and returns their bytes. */
    set(step: number): Buffer {
      parameterServer.setWeights(bytesOf(weights.map((value) => value + step)));
      return Buffer.from(parameterServer.weights().buffer);
    },
    checksMade: () => checksMade,
  };
}

it('the weights of the numerics check are made once for workers that join together, and again only where they are long', async () => {
  for (const [length, later] of [
    [200_000, 1],
    [1_200_000, 2],
  ] as const) {
    const { sources, checksMade } = await open(length);
    const vectors = [sources.numericsCheck(), sources.numericsCheck()];
    for (const vector of vectors) messagesOf(vector);
    expect(checksMade()).toBe(1);
    messagesOf(sources.numericsCheck());
    expect(checksMade()).toBe(later);
  }
});

it('weights begin with the step and, where chunks follow, with their number', async () => {
  for (const length of [200_000, 1_200_000]) {
    const [message, ...chunks] = messagesOf((await open(length)).sources.weights(7));
    const values = chunks.length > 0 ? length : undefined;
    expect({ values: undefined, ...message, bytes: undefined }).toEqual({ type: 'weights', step: 7, values });
    const places = chunks.map((_, index) => ((index + 1) * defaultLimits.chunkBytes) / 4);
    expect(chunks.map((chunk) => 'at' in chunk && chunk.at)).toEqual(places);
  }
});

it.each([200_000, 1_200_000])(
  '%d weights are those of their step to a worker that reads while another step is taken',
  async (length) => {
    const { sources, set } = await open(length);
    const first = set(1);
    const [quick, slow] = [sources.weights(1), sources.weights(1)];
    const begun = slow.next()!;
    expect(bytesIn(messagesOf(quick)).equals(first)).toBe(true);
    const second = set(2);
    expect(bytesIn(messagesOf(sources.weights(2))).equals(second)).toBe(true);
    set(3);
    expect(bytesIn([begun, ...messagesOf(slow)]).equals(first)).toBe(true);
  },
);

it('weights of a step that is taken again are sent again, to workers that wait for the earlier ones too', async () => {
  const { sources, set } = await open(200_000);
  const before = set(1);
  const earlier = sources.weights(1);
  const after = set(2);
  expect(bytesIn(messagesOf(sources.weights(1))).equals(after)).toBe(true);
  expect(bytesIn(messagesOf(earlier)).equals(before)).toBe(true);
});

it('a worker that goes back is not sent the rest of earlier weights', async () => {
  const { sources } = await open(1_200_000);
  const { coordinator, worker } = memoryPair({ pacedBytes: 1 });
  const received: string[] = [];
  worker.listen({ onMessage: ({ type }) => void received.push(type), onClose: () => {} });
  const connection = new RemoteConnection(1, coordinator, sources);
  connection.sendWeights(3);
  connection.send({ type: 'goBack', step: 2 });
  connection.sendWeights(2);
  await new Promise(setImmediate);
  expect(received).toEqual(['weights', 'goBack', 'weights', ...Array(9).fill('chunk')]);
});

function bytesIn(messages: readonly CoordinatorMessage[]): Buffer {
  return Buffer.concat(messages.map((message) => ('bytes' in message ? message.bytes : new Uint8Array())));
}

function messagesOf(vector: OutgoingVector): CoordinatorMessage[] {
  const messages: CoordinatorMessage[] = [];
  for (let message = vector.next(); message; message = vector.next()) messages.push(message);
  return messages;
}
