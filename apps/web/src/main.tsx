/** Sets up the page: its address, its two connections and its panels. */
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

// Forgets a token that the coordinator refused, so that another one can be entered.
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

// Loaded early, because the coordinator may exit as soon as the run ends.
effect(() => {
  if (store.progress.value?.phase === 'training') void loadFinalModel().catch(() => {});
});

// Waits for the run: its workload decides between the GPU and the CPU.
if (address.joinAtOnce) {
  const stop = effect(() => {
    if (!store.run.value) return;
    if (tab.state.peek().phase === 'watching')
      tab.join({ name: deviceName(), backend: 'auto', threads: usualThreads() });
    queueMicrotask(() => stop());
  });
}
