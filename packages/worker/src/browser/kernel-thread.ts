/** Program of a compute thread of this tab. */
import { runKernelThread, type ThreadSetup } from '@lockstep/tensor';

addEventListener('message', ({ data }: MessageEvent<ThreadSetup>) => {
  void runKernelThread(data, (message) => postMessage(message));
});
