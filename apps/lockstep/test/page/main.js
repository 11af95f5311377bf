/** A page with the installed packages, for the test that bundles and opens it. */
import { fromArray, openBackend, sum } from '@lockstep/tensor';
import { train } from '@lockstep/train';
import { join } from '@lockstep/worker';

async function sumOf(values) {
  const { backend } = await openBackend('auto');
  const [total] = await sum(fromArray(backend, values)).values();
  return total;
}

async function trainedHash(options) {
  const { report } = await train(options).result;
  return report.weightsSha256;
}

async function joinRun(url) {
  const { type } = await join(url, { name: 'page', threads: 1 }).done;
  return type;
}

Object.assign(globalThis, { sumOf, trainedHash, joinRun });
