/** Preloaded into a program: when it reports that it is ready, fills memory and sends how V8 collected garbage. */
import { constants, PerformanceObserver } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Allocates like training steps: many small objects stay, and megabytes outside the heap come and go. */
async function collect() {
  const kinds = [];
  const observer = new PerformanceObserver((list) => void kinds.push(...kindsOf(list.getEntries())));
  observer.observe({ entryTypes: ['gc'] });
  const kept = Array.from({ length: 300_000 }, (_, index) => ({ index, text: `${index}` }));
  for (let round = 0; round < 1_000; round++) {
    new Uint8Array(3e6).fill(1, 0, 1);
    kept[round] = { index: round, text: '' };
    await turn();
  }
  kinds.push(...kindsOf(observer.takeRecords()));
  return kinds;
}

const kindsOf = (entries) => entries.map(({ detail }) => detail.kind);

const { send } = process;
process.send = (message, ...rest) => {
  if (message === 'ready') {
    void collect().then((kinds) => {
      const incremental = kinds.filter((kind) => kind === constants.NODE_PERFORMANCE_GC_INCREMENTAL).length;
      send.call(process, { collections: kinds.length, incremental });
    });
  }
  return send.call(process, message, ...rest);
};

// Run directly, it is a program without settings of its own.
if (process.argv[1] === fileURLToPath(import.meta.url)) process.send('ready');
