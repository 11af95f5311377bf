/** Vectors for remote workers: the weights of their step, and a numerics check that the run does not keep. */

import type { ShardSource } from '@lockstep/compute';
import { createNumericsCheck, Parameters } from '@lockstep/compute';
import { bytesOf, type CoordinatorMessage, type OutgoingVector } from '@lockstep/protocol';
import { defaultLimits, planRun } from '@lockstep/rules';
import { openBackend } from '@lockstep/tensor';
import { expect, it } from 'vitest';
import { model } from '../../../sim/test/support.ts';
import { RemoteSources } from '../../src/coordinator/connections.ts';

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
  return { sources, checksMade: () => checksMade };
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

function messagesOf(vector: OutgoingVector): CoordinatorMessage[] {
  const messages: CoordinatorMessage[] = [];
  for (let message = vector.next(); message; message = vector.next()) messages.push(message);
  return messages;
}
