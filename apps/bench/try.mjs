import { netOf, gptSizes } from './dist/work.js';
import { peers } from './dist/peers/index.js';
import { resolveModel, initialize } from '@lockstep/nn';
const V = 81, B = 12;
const net = netOf('gpt', resolveModel('gpt', { sampleShape: [64], outputs: V, tokens: V, predictsNext: true }));
const { positions: T } = gptSizes(net);
let s = 1; const rnd = () => { s = (s * 1103515245 + 12345) % 2147483648; return s / 2147483648; };
const batches = [0,1,2,3].map(() => ({ samples: Uint8Array.from({length: B*(T+1)}, () => Math.floor(rnd()*V)), labels: new Uint16Array() }));
const work = { net, batchSize: B, learningRate: 0.1, batches, initial: initialize(net.model, 1) };
const names = process.argv.slice(2);
for (const name of names) {
  const peer = peers.find((p) => p.name === name);
  const o = await peer.openStep(work);
  if ('absent' in o) { console.log(peer.name, o.absent); continue; }
  await o.reset?.(); await o.run(2);
  const times = [];
  for (let k = 0; k < 8; k++) times.push(await o.run(3) / 3);
  times.sort((a, b) => a - b);
  console.log(peer.name, 'min', times[0].toFixed(1), 'median', times[4].toFixed(1), 'ms', (B*T/times[0]*1000).toFixed(0), 'tokens/s at min');
  await o.close?.();
}
await Promise.all(peers.map((p) => p.close?.()));
process.exit(0);
