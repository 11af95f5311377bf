/** Checks that a view of the weights requests them only while a person looks, and one at a time. */
import type { WatchMessageOf } from '@lockstep/protocol';
import { signal } from '@preact/signals';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Predictor } from '../src/draw/predictor.ts';
import { RunStore } from '../src/watch/run-store.ts';
import { openWeightsFeed } from '../src/watch/weights-feed.ts';

const page = Object.assign(new EventTarget(), { hidden: false });
beforeEach(() => {
  page.hidden = false;
  vi.stubGlobal('document', page);
});
afterEach(() => {
  vi.unstubAllGlobals();
});

function setUp(phase: 'connecting' | 'live' = 'live', isFollowed = signal(true)) {
  const store = new RunStore();
  let requests = 0;
  store.connection.value = { phase };
  store.run.value = { parameters: 2 } as WatchMessageOf<'run'>;
  const feed = openWeightsFeed({
    store,
    isFollowed,
    request: () => {
      requests++;
    },
  });
  return {
    store,
    feed,
    requests: () => requests,
    progress: (step: number) => {
      store.progress.value = { step } as WatchMessageOf<'progress'>;
    },
    weights: (step: number, parameters = 2) => {
      store.weights.value = { type: 'weights', step, bytes: new Uint8Array(4 * parameters) };
    },
  };
}

test('asks once until weights come, and again when the run has moved on', () => {
  const { feed, progress, requests, weights } = setUp();
  for (const step of [1, 2, 3]) progress(step);
  expect(requests()).toBe(1);
  weights(3);
  expect(feed.weights.value?.step).toBe(3);
  expect(requests()).toBe(1);
  progress(4);
  progress(5);
  expect(requests()).toBe(2);
});

test('without a sample asks for the first weights only, and for newer ones once there is one', () => {
  const hasSample = signal(false);
  const { progress, requests, weights } = setUp('live', hasSample);
  weights(1);
  progress(2);
  expect(requests()).toBe(1);
  hasSample.value = true;
  expect(requests()).toBe(2);
});

test('asks for nothing in a hidden page, without a connection, and when it is closed', () => {
  const { feed, progress, requests, store, weights } = setUp('connecting');
  expect(requests()).toBe(0);
  store.connection.value = { phase: 'live' };
  weights(1);
  expect(requests()).toBe(1);
  weights(1);
  progress(1);
  page.hidden = true;
  page.dispatchEvent(new Event('visibilitychange'));
  weights(2);
  progress(3);
  expect([requests(), feed.weights.value?.step]).toEqual([1, 2]);
  page.hidden = false;
  page.dispatchEvent(new Event('visibilitychange'));
  expect(requests()).toBe(2);
  weights(3);
  feed.close();
  progress(4);
  expect(requests()).toBe(2);
});

test('a prediction follows newer weights only in a visible page', async () => {
  const store = new RunStore();
  const request = vi.fn();
  const predictor = new Predictor(store, request);
  store.connection.value = { phase: 'live' };
  const model = { name: 'tiny', input: [2], layers: [{ type: 'dense', units: 1 }] };
  store.run.value = { parameters: 3, model } as unknown as WatchMessageOf<'run'>;
  store.weights.value = { type: 'weights', step: 1, bytes: new Uint8Array(12) };
  predictor.activate();
  predictor.show(new Float32Array(2));
  await vi.waitFor(() => expect(predictor.prediction.value.output?.step).toBe(1));
  page.hidden = true;
  page.dispatchEvent(new Event('visibilitychange'));
  store.progress.value = { step: 2 } as WatchMessageOf<'progress'>;
  expect(request).toHaveBeenCalledTimes(0);
  page.hidden = false;
  page.dispatchEvent(new Event('visibilitychange'));
  expect(request).toHaveBeenCalledTimes(1);
});

test('weights of a large model are asked for as seldom as they are large', () => {
  vi.useFakeTimers();
  try {
    const { feed, progress, requests, weights } = setUp();
    weights(1, 1_000_000);
    progress(2);
    vi.advanceTimersByTime(3_999);
    expect(requests()).toBe(1);
    vi.advanceTimersByTime(1);
    expect(requests()).toBe(2);
    feed.close();
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});

test('weights of another model are none', () => {
  const { feed, weights } = setUp();
  weights(1);
  weights(2, 3);
  expect(feed.weights.value).toBeUndefined();
});

test('a connection that is lost loses the request', () => {
  const { requests, store } = setUp();
  expect(requests()).toBe(1);
  store.connection.value = { phase: 'lost', reason: 'test' };
  store.connection.value = { phase: 'live' };
  expect(requests()).toBe(2);
});
