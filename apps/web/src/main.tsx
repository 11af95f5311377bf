/** Wires the page up: its address, its two connections, and its panels. */
import { watchPath } from '@lockstep/protocol';
import { usualThreads } from '@lockstep/worker/browser';
import { effect, signal } from '@preact/signals';
import { render } from 'preact';
import { helloOf, readAddress, saveSecrets, socketAddress } from './address.ts';
import { Uploader } from './data/uploader.ts';
import { Predictor } from './draw/predictor.ts';
import { loadFinalModel } from './ending/load-final-model.ts';
import { deviceName } from './join/device-name.ts';
import { TabWorker } from './join/tab-worker.ts';
import { Views } from './views.tsx';
import { RunStore } from './watch/run-store.ts';
import { Viewer } from './watch/viewer.ts';
import './style.css';

const address = readAddress();
const secrets = signal(address.secrets);
const store = new RunStore();
const viewer = new Viewer({ url: socketAddress(watchPath), store, hello: () => helloOf(secrets.peek()) });
const tab = new TabWorker(store, secrets);
const predictor = new Predictor(store, () => viewer.send({ type: 'wantWeights' }));
const uploader = new Uploader();

// A token that the coordinator does not know is forgotten, so that another can be entered.
effect(() => {
  if (store.role.value?.fault === undefined || secrets.peek().admin === undefined) return;
  secrets.value = { ...secrets.peek(), admin: undefined };
  saveSecrets(secrets.value);
});

const root = document.getElementById('page');
if (!root) throw new Error('page: expected an element with the id page');
render(
  <Views store={store} viewer={viewer} tab={tab} predictor={predictor} uploader={uploader} secrets={secrets} />,
  root,
);

// A run's coordinator may end with it, and serves nothing then.
effect(() => {
  if (store.progress.value?.phase === 'training') void loadFinalModel().catch(() => {});
});

// Only once the run is known: its workload decides between the GPU and the CPU.
if (address.joinAtOnce) {
  const stop = effect(() => {
    if (!store.run.value) return;
    if (tab.state.peek().phase === 'watching')
      tab.join({ name: deviceName(), backend: 'auto', threads: usualThreads() });
    queueMicrotask(() => stop());
  });
}
