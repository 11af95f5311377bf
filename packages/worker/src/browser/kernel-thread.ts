/** A compute thread of this tab: the program that it runs. */
import { runKernelThread, type ThreadSetup } from '@lockstep/tensor';

addEventListener('message', ({ data }: MessageEvent<ThreadSetup>) => {
  void runKernelThread(data, (message) => postMessage(message));
});
