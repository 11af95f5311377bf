/** Vectors for remote workers: the weights of their step, and a numerics check that the run does not keep. */

import type { ShardSource } from '@lockstep/compute';
import { createNumericsCheck, Parameters } from '@lockstep/compute';
import { bytesOf, type CoordinatorMessage, type OutgoingVector } from '@lockstep/protocol';
import { defaultLimits, planRun } from '@lockstep/rules';
import { openBackend } from '@lockstep/tensor';
import { describe, expect, it } from 'vitest';
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
  return {
    sources,
    /** Sets the weights of a step. @returns the bytes of the weights */
    set(step: number): Buffer {
      parameterServer.setWeights(bytesOf(weights.map((value) => value + step)));
      return Buffer.from(parameterServer.weights().buffer);
    },
    checksMade: () => checksMade,
  };
}

/** Takes the next `count` messages of a vector, by default all remaining ones. */
function take(vector: OutgoingVector, count = Number.POSITIVE_INFINITY): CoordinatorMessage[] {
  const messages: CoordinatorMessage[] = [];
  while (messages.length < count) {
    const message = vector.next();
    if (!message) break;
    messages.push(message);
  }
  return messages;
}

function bytesIn(messages: readonly CoordinatorMessage[]): Buffer {
  return Buffer.concat(messages.map((message) => ('bytes' in message ? message.bytes : new Uint8Array())));
}

describe.each([200_000, 1_200_000])('%d weights', (length) => {
  it('are those of the step, to a worker that reads while the next step is taken as well', async () => {
    const { sources, set } = await open(length);
    const first = set(1);
    const [quick, slow] = [sources.weights(1), sources.weights(1)];
    const begun = take(slow, 1);
    expect(bytesIn(take(quick)).equals(first)).toBe(true);
    const second = set(2);
    expect(bytesIn(take(sources.weights(2))).equals(second)).toBe(true);
    set(3);
    expect(bytesIn([...begun, ...take(slow)]).equals(first)).toBe(true);
  });

  it('begin with the step and, where chunks follow, with their number', async () => {
    const { sources, set } = await open(length);
    set(1);
    const [message, ...chunks] = take(sources.weights(7));
    const values = chunks.length > 0 ? length : undefined;
    expect({ values: undefined, ...message, bytes: undefined }).toEqual({ type: 'weights', step: 7, values });
    expect(chunks.map((chunk) => 'at' in chunk && chunk.at)).toEqual(
      chunks.map((_, index) => ((index + 1) * defaultLimits.chunkBytes) / 4),
    );
  });
});

describe('the weights of the numerics check', () => {
  it('are made once for workers that join together, and for later ones only where they are long', async () => {
    for (const [length, later] of [
      [200_000, 1],
      [1_200_000, 2],
    ] as const) {
      const { sources, checksMade } = await open(length);
      const vectors = [sources.numericsCheck(), sources.numericsCheck()];
      for (const vector of vectors) take(vector);
      expect(checksMade()).toBe(1);
      take(sources.numericsCheck());
      expect(checksMade()).toBe(later);
    }
  });
});
