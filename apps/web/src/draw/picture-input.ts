/** Pictures of a person, from a file or a webcam, in the form that a model sees. */
import { openPageDecoder, type PictureForm } from '@lockstep/data/readers';
import type { RunMessage } from '@lockstep/protocol';

function formOf({ sampleField: { shape }, fit = 'cover' }: RunMessage): PictureForm {
  const [height = 1, width = 1, channels = 1] = shape;
  return { height, width, channels: channels === 3 ? 3 : 1, fit };
}

/** @throws Error with a phrase about the file */
export async function pixelsOfFile(file: Blob, run: RunMessage): Promise<Uint8Array> {
  return openPageDecoder().decode(new Uint8Array(await file.arrayBuffer()), formOf(run));
}

/** Pixels of a video's current frame. */
export async function pixelsOfFrame(video: HTMLVideoElement, run: RunMessage): Promise<Uint8Array> {
  return openPageDecoder().pixelsOf(await createImageBitmap(video), formOf(run));
}
