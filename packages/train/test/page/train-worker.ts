/** Trains once with the options it receives, and posts the result. */
import { type TrainOptions, train } from '../../src/browser.ts';
import type { TrainedInPage } from './contract.ts';

addEventListener('message', async ({ data }: MessageEvent<TrainOptions>) => {
  const run = train(data);
  const types = new Set<string>();
  const notes: string[] = [];
  for await (const event of run) {
    types.add(event.type);
    if (event.type === 'note') notes.push(event.message);
  }
  const { report } = await run.result;
  const answer: TrainedInPage = {
    types: [...types],
    notes,
    weightsSha256: report.weightsSha256,
    worker: report.workers[0]?.name ?? '',
  };
  postMessage(answer);
});
