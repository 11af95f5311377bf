/** Computes for the run whose address follows the `#` of the page's own address. */
import { join } from '@lockstep/worker/browser';

const status = document.querySelector('#status')!;
const worker = join(location.hash.slice(1), { name: 'my own page' });
for await (const event of worker) {
  if (event.type === 'computed') status.textContent = `${event.samples} samples computed`;
}
status.textContent = (await worker.done).message;
