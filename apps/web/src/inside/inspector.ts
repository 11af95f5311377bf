/** Sends requests to the lesson's thread, one at a time. While one is running, only the newest request is kept. */
import { openThread } from '../learn/open-thread.ts';
import type { InspectAnswer, InspectRequest } from './messages.ts';

/** @param onError called with the reason why the thread cannot compute */
export function openInspector(
  onAnswer: (answer: InspectAnswer, request: InspectRequest) => void,
  onError: (message: string) => void,
) {
  let current: InspectRequest | undefined;
  let next: InspectRequest | undefined;
  const thread = openThread<InspectAnswer>((answer) => {
    onAnswer(answer, current!);
    current = undefined;
    if (next) ask(next);
  }, onError);
  const ask = (request: InspectRequest): void => {
    if (current) {
      next = request;
      return;
    }
    next = undefined;
    current = request;
    thread.postMessage(request);
  };
  return { ask, close: (): void => thread.terminate() };
}
