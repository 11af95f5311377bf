/** Sets up the page: its address, its two connections, and the view that the address selects. */
import './base.css';
import './run.css';
import { watchPath } from '@lockstep/protocol';
import { mostThreads, usualThreads } from '@lockstep/worker/browser';
import { effect, signal } from '@preact/signals';
import { render } from 'preact';
import {
  chapterInAddress,
  helloOf,
  isRoomInAddress,
  partInAddress,
  readAddress,
  saveSecrets,
  socketAddress,
} from './address.ts';
import { Predictor } from './draw/predictor.ts';
import { deviceName, TabWorker } from './join/tab-worker.ts';
import { Inside, Lesson, lazyView } from './look/lazy.tsx';
import { Page, type PageProps, requestsOf } from './page.tsx';
import { Uploader } from './panels/data.tsx';
import { RunStore } from './watch/run-store.ts';
import { needsCode } from './watch/status.ts';
import { Viewer } from './watch/viewer.ts';

const Room = lazyView("The room's view", () => import('./room/room.tsx').then(({ Room }) => Room));

const address = readAddress();
const secrets = signal(address.secrets);
effect(() => saveSecrets(secrets.value));
const store = new RunStore();
const viewer = new Viewer({ url: socketAddress(watchPath), store, hello: () => helloOf(secrets.peek()) });
const tab = new TabWorker(store, secrets);
const predictor = new Predictor(store, () => viewer.send({ type: 'wantWeights' }));
const uploader = new Uploader();

// Forgets a token that the coordinator refused, so that another one can be entered.
effect(() => {
  if (store.role.value?.fault === undefined || secrets.peek().admin === undefined) return;
  secrets.value = { ...secrets.peek(), admin: undefined };
});

const root = document.getElementById('page');
if (!root) throw new Error('page: expected an element with the id page');
render(
  <Views store={store} viewer={viewer} tab={tab} predictor={predictor} uploader={uploader} secrets={secrets} />,
  root,
);

// Loaded early, because the coordinator may exit as soon as the run ends.
effect(() => {
  if (store.progress.value?.phase !== 'training') return;
  for (const part of [import('./watch/run-model.ts'), import('./draw/inference.ts')]) part.catch(() => {});
});

// Waits for the run: its workload decides between the GPU and the CPU.
if (address.joinAtOnce) {
  const stop = effect(() => {
    if (!store.run.value) return;
    const threads = Math.max(1, Math.min(address.threads ?? usualThreads(), mostThreads()));
    if (tab.state.peek().phase === 'watching') tab.join({ name: deviceName(), backend: 'auto', threads });
    queueMicrotask(() => stop());
  });
}

function Views(props: PageProps) {
  const { store, predictor, viewer, secrets } = props;
  const [chapterId, part] = [chapterInAddress.value, partInAddress.value];
  // Views of a locked run fall back to its page, which asks for the code, and return once the code is accepted.
  const isLocked = needsCode(store.status.value);
  if (isRoomInAddress.value && !isLocked) {
    const onStart = store.isOwner.value ? () => requestsOf(props).control('start') : undefined;
    return <Room {...{ store, onStart }} secrets={secrets.value} />;
  }
  if (chapterId !== undefined) return <Lesson {...{ chapterId, store }} />;
  if (part !== undefined && !isLocked) {
    return <Inside {...{ store, predictor, part }} requestWeights={() => viewer.send({ type: 'wantWeights' })} />;
  }
  return <Page {...props} />;
}
