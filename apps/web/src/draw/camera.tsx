/** The webcam: its stream while a person uses it, and its picture. */
import { errorMessage } from '@lockstep/data/shown';
import { useSignal } from '@preact/signals';
import type { RefObject } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

/** Side of the square that frames are cut to, and asked for. */
const frameSide = 480;

interface CameraProps {
  /** Element of the video, for its frames. */
  readonly video: RefObject<HTMLVideoElement | null>;
  readonly onChange: (isOn: boolean) => void;
}

/** A button that turns the webcam on and off, and its picture. */
export function Camera({ video, onChange }: CameraProps) {
  const isOn = useSignal(false);
  const fault = useSignal<string>();
  const stream = useRef<MediaStream | undefined>(undefined);
  const turnOff = (): void => {
    for (const track of stream.current?.getTracks() ?? []) track.stop();
    stream.current = undefined;
    isOn.value = false;
    onChange(false);
  };
  useEffect(() => turnOff, []);
  const turnOn = async (): Promise<void> => {
    fault.value = undefined;
    try {
      stream.current = await openCamera();
      isOn.value = true;
      video.current!.srcObject = stream.current;
      await video.current!.play();
      onChange(true);
    } catch (error) {
      turnOff();
      fault.value = errorMessage(error);
    }
  };
  return (
    <div class="camera">
      <video ref={video} class="camera-picture" hidden={!isOn.value} muted playsInline aria-label="Webcam" />
      <button type="button" aria-pressed={isOn.value} onClick={() => (isOn.value ? turnOff() : void turnOn())}>
        {isOn.value ? 'Turn the webcam off' : 'Use the webcam'}
      </button>
      <p class="error" role="status">
        {fault.value ?? ''}
      </p>
    </div>
  );
}

/** @throws Error with one sentence for the person */
async function openCamera(): Promise<MediaStream> {
  if (!isSecureContext || !navigator.mediaDevices) {
    throw new Error('Browsers allow the webcam only over HTTPS or on this computer: start the coordinator with --tls.');
  }
  try {
    return await navigator.mediaDevices.getUserMedia({ video: { width: frameSide, height: frameSide }, audio: false });
  } catch (error) {
    throw new Error(cameraFaults[(error as Error).name] ?? `The webcam does not start: ${errorMessage(error)}`);
  }
}

const cameraFaults: Readonly<Record<string, string>> = {
  NotAllowedError: 'The browser was not allowed to use the webcam: allow it in the settings of this page.',
  NotFoundError: 'The browser found no webcam.',
  NotReadableError: 'Another program uses the webcam.',
};
