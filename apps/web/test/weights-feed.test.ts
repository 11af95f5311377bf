/** Checks that a view of the weights requests them only while a person looks, and one at a time. */
import type { WatchMessageOf } from '@lockstep/protocol';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openWeightsFeed } from '../src/inside/inspection.ts';
import { RunStore } from '../src/watch/run-store.ts';

const page = Object.assign(new EventTarget(), { hidden: false });
beforeEach(() => {
  page.hidden = false;
  vi.stubGlobal('document', page);
});
afterEach(() => {
  vi.unstubAllGlobals();
});

function setUp(phase: 'connecting' | 'live' = 'live') {
  const store = new RunStore();
  let requests = 0;
  store.connection.value = { phase };
  store.run.value = { parameters: 2 } as WatchMessageOf<'run'>;
  const feed = openWeightsFeed({
    store,
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
