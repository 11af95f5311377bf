/** Pictures by class for a run's data: recorded with the webcam or chosen as files, and sent as a folder a class. */
import { useSignal } from '@preact/signals';
import { useRef } from 'preact/hooks';
import { Camera } from '../draw/camera.tsx';
import { FileInput } from '../look/controls.tsx';
import { plural } from '../look/format.ts';

/** A file to send. */
export interface NamedFile {
  /** Path separated by slashes. */
  readonly path: string;
  readonly file: File;
}

interface PictureClass {
  readonly key: number;
  readonly name: string;
  readonly pictures: readonly File[];
}

interface ClassesProps {
  readonly isDisabled: boolean;
  readonly onUse: (files: readonly NamedFile[]) => void;
}

/** Webcam frames have this size, the largest that pictures are trained at by default. */
const frameSide = 64;
/** Pause between two recorded frames. */
const frameMs = 100;
const leastPictures = 2;

/** A list of classes, as in Teachable Machine: name each, record or add pictures, and use them. */
export function Classes({ isDisabled, onUse }: ClassesProps) {
  const video = useRef<HTMLVideoElement>(null);
  const isCameraOn = useSignal(false);
  const next = useRef(3);
  const classes = useSignal<readonly PictureClass[]>([1, 2].map(emptyClass));
  const change = (key: number, changed: (one: PictureClass) => Partial<PictureClass>): void => {
    classes.value = classes.value.map((one) => (one.key === key ? { ...one, ...changed(one) } : one));
  };
  const add = (key: number, files: readonly File[]): void =>
    change(key, ({ pictures }) => ({ pictures: [...pictures, ...files] }));
  const fault = faultOf(classes.value);
  return (
    <section class="stack classes" aria-label="Pictures by class">
      <Camera video={video} onChange={(isOn) => (isCameraOn.value = isOn)} />
      <ul>
        {classes.value.map(({ key, name, pictures }) => (
          <li key={key} class="row">
            <label>
              Class
              <input
                type="text"
                value={name}
                maxLength={60}
                onInput={({ currentTarget }) => change(key, () => ({ name: currentTarget.value }))}
              />
            </label>
            <RecordButton
              isDisabled={isDisabled || !isCameraOn.value}
              onFrame={async () => add(key, [await frameOf(video.current!)])}
              name={name}
            />
            <FileInput
              label="Add pictures"
              multiple
              accept="image/png,image/jpeg,image/webp"
              disabled={isDisabled}
              onChoose={(files) => add(key, files)}
            />
            <output>{plural(pictures.length, 'picture')}</output>
            <button
              type="button"
              aria-label={`Remove ${name}`}
              disabled={classes.value.length <= 2}
              onClick={() => (classes.value = classes.value.filter((one) => one.key !== key))}
            >
              Remove
            </button>
          </li>
        ))}
      </ul>
      <p class="row classes-actions">
        <button type="button" onClick={() => (classes.value = [...classes.value, emptyClass(next.current++)])}>
          Add a class
        </button>
        <button
          type="button"
          disabled={isDisabled || fault !== undefined}
          onClick={() => onUse(filesOf(classes.value))}
        >
          Use these pictures
        </button>
        <span class="aside">{fault ?? ''}</span>
      </p>
    </section>
  );
}

function emptyClass(number: number): PictureClass {
  return { key: number, name: `Class ${number}`, pictures: [] };
}

/** Says what is missing before the pictures can be used. */
function faultOf(classes: readonly PictureClass[]): string | undefined {
  const names = classes.map(({ name }) => folderOf(name));
  if (names.includes('')) return 'Give each class a name.';
  if (new Set(names).size < names.length) return 'Give each class a different name.';
  const few = classes.find(({ pictures }) => pictures.length < leastPictures);
  return few && `Record or add at least ${leastPictures} pictures of ${few.name}.`;
}

/** A class's name as that of a folder: no slashes, and no dot in front, which would hide it. */
function folderOf(name: string): string {
  return name
    .replaceAll(/[/\\]/g, '-')
    .replace(/^[\s.]+/, '')
    .trim();
}

function filesOf(classes: readonly PictureClass[]): NamedFile[] {
  return classes.flatMap(({ name, pictures }) =>
    pictures.map((file, index) => {
      const extension = /\.\w+$/.exec(file.name)?.[0] ?? '.png';
      return { path: `${folderOf(name)}/${`${index + 1}`.padStart(5, '0')}${extension}`, file };
    }),
  );
}

interface RecordButtonProps {
  readonly name: string;
  readonly isDisabled: boolean;
  readonly onFrame: () => Promise<void>;
}

/** Records frames while it is held, with the pointer or with space or enter. */
function RecordButton({ name, isDisabled, onFrame }: RecordButtonProps) {
  const isHeld = useRef(false);
  const record = async (): Promise<void> => {
    if (isHeld.current || isDisabled) return;
    isHeld.current = true;
    while (isHeld.current) {
      await onFrame();
      await new Promise((resolve) => setTimeout(resolve, frameMs));
    }
  };
  const stop = (): void => {
    isHeld.current = false;
  };
  return (
    <button
      type="button"
      class="record"
      disabled={isDisabled}
      aria-label={`Hold to record ${name}`}
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        void record();
      }}
      onLostPointerCapture={stop}
      onKeyDown={({ key }) => (key === ' ' || key === 'Enter') && void record()}
      onKeyUp={stop}
      onBlur={stop}
    >
      Hold to record
    </button>
  );
}

/** The middle square of the video's current frame, as a PNG. */
async function frameOf(video: HTMLVideoElement): Promise<File> {
  const canvas = new OffscreenCanvas(frameSide, frameSide);
  const context = canvas.getContext('2d')!;
  const { videoWidth: width, videoHeight: height } = video;
  const side = Math.min(width, height);
  context.imageSmoothingQuality = 'high';
  context.drawImage(video, (width - side) / 2, (height - side) / 2, side, side, 0, 0, frameSide, frameSide);
  return new File([await canvas.convertToBlob({ type: 'image/png' })], 'frame.png');
}
