/** Opens the lesson's thread. */

/** @param onError called with the reason why the thread cannot compute */
export function openThread<Answer>(onAnswer: (answer: Answer) => void, onError: (message: string) => void): Worker {
  const worker = new Worker(new URL('./lesson-thread.ts', import.meta.url), { type: 'module', name: 'lesson' });
  worker.addEventListener('message', ({ data }: MessageEvent<Answer>) => onAnswer(data));
  worker.addEventListener('error', ({ message }) => onError(message || 'the script of its thread did not load'));
  return worker;
}
