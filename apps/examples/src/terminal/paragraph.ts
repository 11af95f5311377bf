/** Paragraphs of the lesson, wrapped for a terminal. */
import { partsOf } from '@lockstep/lesson';

const width = 100;

export function wrapped(paragraph: string): string {
  const lines = [''];
  const plain = partsOf(paragraph)
    .map(({ text }) => text)
    .join('');
  for (const word of plain.split(' ')) {
    const line = lines.at(-1)!;
    if (line !== '' && line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines.join('\n');
}
