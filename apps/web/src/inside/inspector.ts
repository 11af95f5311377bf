/** Asks the lesson's thread, one request at a time; of those that come meanwhile only the newest counts. */
import { openThread } from '../learn/open-thread.ts';
import type { InspectAnswer, InspectRequest } from './messages.ts';

/** @param onError gets why the thread cannot compute */
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
