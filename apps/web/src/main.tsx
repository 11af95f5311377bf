/** Opens the page: its address, its two connections, and everything that is drawn. */
import { effect, signal } from '@preact/signals';
import { render } from 'preact';
import { readAddress, viewerAddress, workerAddress } from './address.ts';
import { createReader } from './draw/reader.ts';
import { preferredName } from './join/backends.ts';
import { createTabWorker } from './join/join.ts';
import { Page } from './page.tsx';
import { createRoom } from './watch/room.ts';
import { startViewer } from './watch/viewer.ts';
import './style.css';

const { joinAtOnce, secrets: given } = readAddress();
const secrets = signal(given);
const room = createRoom();
const viewer = startViewer(viewerAddress(), room);
const tab = createTabWorker({
  url: workerAddress(),
  token: () => secrets.value.token,
  workload() {
    const { value: run } = room.run;
    if (!run) return undefined;
    const { microbatchSize } = run.config;
    return { model: run.model, microbatchSize, samples: microbatchSize * Math.ceil(run.microbatches / 2) };
  },
});
const reader = createReader(room, (message) => viewer.send(message));

const root = document.getElementById('page');
if (!root) throw new Error('page: expected an element with the id page');
render(<Page room={room} viewer={viewer} tab={tab} reader={reader} secrets={secrets} />, root);

// With the run known, a tab can choose what computes it fastest.
if (joinAtOnce) {
  const stop = effect(() => {
    if (!room.run.value) return;
    if (tab.state.peek().phase === 'idle') tab.join({ name: preferredName(), backend: 'auto' });
    queueMicrotask(() => stop());
  });
}
